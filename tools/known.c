#include "known.h"

#include "options.h"
#include "output.h"
#include "status.h"

int known_find(const struct command *command, struct known *known)
{
    sotto_error error = {0};
    int status;

    known->path = known->option;
    if (known->path == NULL) {
        status = options_environment(command, "SOTTO_KNOWN_SERVERS", read_text, &known->path);
        if (status != OPTIONS_GO_ON)
            return status;
    }
    if (known->path != NULL)
        return OPTIONS_GO_ON;
    if (sotto_known_servers_path(known->buffer, sizeof known->buffer, &error) != SOTTO_OK)
        return report(&error);
    known->path = known->buffer;
    return OPTIONS_GO_ON;
}

int known_address(const struct command *command, const char *text, sotto_address *out)
{
    sotto_error error = {0};

    if (sotto_address_parse(text, out, &error) == SOTTO_OK)
        return OPTIONS_GO_ON;
    return usage_error(command, "\"%s\" is no address: %s", text,
                       error.why[0] != '\0' ? error.why : error.what);
}

int known_nothing(const struct known *known, const char *address, sotto_curve curve)
{
    sotto_error error;

    error_what(&error, SOTTO_E_KEY_UNKNOWN, "no key%s%s of %s is known", curve != 0 ? " on " : "",
               curve != 0 ? sotto_curve_name(curve) : "", address);
    error_why(&error, "there is no line for it in %s", known->path);
    error_hint(&error, "sotto trust list");
    return report_as(&error, STATUS_UNEXPECTED);
}

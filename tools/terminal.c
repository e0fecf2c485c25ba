#include "terminal.h"

#include <stdio.h>
#include <string.h>

#include <sotto/key.h>

static const char terminal[] = "/dev/tty";

bool terminal_is_there(void)
{
    FILE *tty = fopen(terminal, "r+e");

    if (tty == NULL)
        return false;
    (void)fclose(tty);
    return true;
}

/* One line without its end and blanks around it.  False: the input has ended. */
static bool read_answer(FILE *in, char *out, size_t size)
{
    char line[256];
    char *begin = line, *end;

    if (fgets(line, sizeof line, in) == NULL)
        return false;
    end = line + strlen(line);
    while (end > begin && strchr(" \t\r\n", end[-1]) != NULL)
        *--end = '\0';
    begin += strspn(begin, " \t");
    (void)snprintf(out, size, "%s", begin);
    return true;
}

static bool decide(FILE *in, FILE *out, const char *fingerprint)
{
    enum { TRIES = 3 };
    char answer[128];

    for (int i = 0; i < TRIES; i++) {
        (void)fprintf(out, "Trust it from now on? (yes, no, or type the fingerprint) ");
        (void)fflush(out);
        if (!read_answer(in, answer, sizeof answer))
            return false;
        if (strcmp(answer, "yes") == 0 || strcmp(answer, fingerprint) == 0)
            return true;
        if (strcmp(answer, "no") == 0)
            return false;
        if (strncmp(answer, "SHA256:", 7) == 0) {
            (void)fprintf(out, "That is another fingerprint: not trusted.\n");
            return false;
        }
    }
    return false;
}

bool terminal_trust(const char *address, const char *curve, const char *fingerprint)
{
    /* Two streams: one for both would have to be repositioned in between, which a terminal
     * cannot. */
    FILE *in = fopen(terminal, "re");
    FILE *out = fopen(terminal, "we");
    bool trusted = false;

    if (in != NULL && out != NULL) {
        (void)fprintf(
            out,
            "The server %s is not known.\n"
            "  key type     %s\n"
            "  fingerprint  %s\n"
            "Compare the fingerprint with the one that the server's operator gives you.\n",
            address, curve, fingerprint);
        trusted = decide(in, out, fingerprint);
    }
    if (in != NULL)
        (void)fclose(in);
    if (out != NULL)
        (void)fclose(out);
    return trusted;
}

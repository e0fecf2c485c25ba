#include "sotto/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "identity/file.h"
#include "identity/lines.h"

/*
 * A line is `ADDRESS sotto-x25519 BASE64 [comment]`.  The address is written in its canonical form
 * only, so that one server has one name and comparing bytes finds every pin.  One wrong line
 * spoils the file: who cannot read it all does not know what is pinned.
 */

enum { STORE_MAX = 4 << 20, LOCK_WAIT_MS = 5000, LOCK_PAUSE_MS = 20 };

/* ---- Errors ---------------------------------------------------------------------------------- */

/* Whatever went wrong with the file is a trust store that cannot be used; cause and advice stay. */
static sotto_err store_failed(sotto_error *error, const char *path)
{
    sotto_error cause;

    if (error == NULL)
        return SOTTO_E_TRUST_STORE;
    cause = *error;
    si_error(error, SOTTO_E_TRUST_STORE, "the known servers in %s cannot be used", path);
    error->sys_errno = cause.sys_errno;
    memcpy(error->why, cause.why, sizeof error->why);
    memcpy(error->hint, cause.hint, sizeof error->hint);
    return SOTTO_E_TRUST_STORE;
}

static sotto_err store_errno(sotto_error *error, const char *path, int sys_errno)
{
    si_error(error, SOTTO_E_TRUST_STORE, "the known servers in %s cannot be used", path);
    si_error_errno(error, sys_errno);
    return SOTTO_E_TRUST_STORE;
}

/* `what` is filled in by store_failed(), which knows the path. */
static sotto_err bad_line(sotto_error *error, unsigned number, const char *why)
{
    si_error(error, SOTTO_E_TRUST_STORE, "malformed");
    si_error_why(error, "line %u: %s", number, why);
    si_error_hint(error, "mend or remove that line; a comment begins with #");
    return SOTTO_E_TRUST_STORE;
}

static sotto_err bad_line_err(sotto_error *error, unsigned number, sotto_err err)
{
    return bad_line(error, number,
                    err == SOTTO_E_KEY ? "a low-order point is no key" : sotto_strerror(err));
}

/* ---- Lines ----------------------------------------------------------------------------------- */

struct entry {
    bool idle; /* an empty line or a comment: the rest is not filled in */
    char address[SOTTO_ADDRESS_SIZE];
    sotto_public_key key;
};

static sotto_err parse_address(struct si_span word, unsigned number, struct entry *out,
                               sotto_error *error)
{
    char text[SOTTO_ADDRESS_SIZE];
    sotto_address address;

    if (word.len >= sizeof text)
        return bad_line(error, number, "the address is too long");
    memcpy(text, word.ptr, word.len);
    text[word.len] = '\0';
    if (sotto_address_parse(text, &address, NULL) != SOTTO_OK)
        return bad_line(error, number, "it does not begin with an address");
    if (strcmp(address.text, text) != 0) {
        (void)bad_line(error, number, "");
        si_error_why(error, "line %u: the address is to be written as %s", number, address.text);
        return SOTTO_E_TRUST_STORE;
    }
    memcpy(out->address, text, word.len + 1);
    return SOTTO_OK;
}

/* Go to the next line and read it.  *MORE is false at the end. */
static sotto_err next_entry(struct si_lines *lines, struct entry *entry, bool *more,
                            sotto_error *error)
{
    struct si_span rest;
    const char *why;
    sotto_err err;

    *entry = (struct entry){.idle = true};
    *more = si_lines_next(lines);
    if (!*more)
        return SOTTO_OK;
    rest = lines->line;
    if (si_line_has_control(rest))
        return bad_line(error, lines->number, "it holds a control character");
    if (si_line_is_idle(rest))
        return SOTTO_OK;
    if ((err = parse_address(si_line_word(&rest), lines->number, entry, error)) != SOTTO_OK)
        return err;
    if (si_line_key(&rest, &entry->key, &why) != SOTTO_OK)
        return bad_line(error, lines->number, why);
    entry->idle = false;
    return SOTTO_OK;
}

static bool is_for(const struct entry *entry, const char *address, sotto_curve curve)
{
    return !entry->idle && strcmp(entry->address, address) == 0 &&
           (curve == 0 || entry->key.curve == curve);
}

static size_t slot_of(sotto_curve curve)
{
    return curve == SOTTO_CURVE_25519 ? 0 : 1;
}

static sotto_err add_pin(sotto_pins *pins, const struct entry *entry, unsigned number,
                         sotto_error *error)
{
    size_t slot = slot_of(entry->key.curve);
    sotto_err err;

    if (pins->key[slot].curve == 0) {
        /* Only here, where the key counts: the check costs a Diffie-Hellman. */
        if ((err = si_key_usable(&entry->key)) != SOTTO_OK)
            return bad_line_err(error, number, err);
        pins->key[slot] = entry->key;
        pins->line[slot] = number;
        return SOTTO_OK;
    }
    if (sotto_public_key_equal(&pins->key[slot], &entry->key))
        return SOTTO_OK;
    (void)bad_line(error, number, "");
    si_error_why(error, "lines %u and %u hold two different %s keys for %s", pins->line[slot],
                 number, sotto_curve_name(entry->key.curve), entry->address);
    si_error_hint(error, "remove the wrong line");
    return SOTTO_E_TRUST_STORE;
}

/* All lines are read, also behind the last one that matters: a damaged file is no basis for
 * trust. */
static sotto_err collect(struct si_span text, const char *address, sotto_pins *out,
                         sotto_error *error)
{
    struct si_lines lines = si_lines(text);
    sotto_pins pins = {0};
    struct entry entry;
    bool more = true;
    sotto_err err;

    while ((err = next_entry(&lines, &entry, &more, error)) == SOTTO_OK && more) {
        if (is_for(&entry, address, (sotto_curve)0) &&
            (err = add_pin(&pins, &entry, lines.number, error)) != SOTTO_OK)
            break;
    }
    if (err == SOTTO_OK)
        *out = pins;
    return err;
}

/* ---- Look-up --------------------------------------------------------------------------------- */

sotto_err sotto_known_servers_path(char *out, size_t size, sotto_error *error)
{
    const char *config = secure_getenv("XDG_CONFIG_HOME"), *home = secure_getenv("HOME");
    int len;

    if (config != NULL && config[0] == '/')
        len = snprintf(out, size, "%s/sotto/known_servers", config);
    else if (home != NULL && home[0] == '/')
        len = snprintf(out, size, "%s/.config/sotto/known_servers", home);
    else {
        if (size > 0)
            out[0] = '\0';
        si_error(error, SOTTO_E_FILE, "there is no place for the known servers");
        si_error_why(error, "neither XDG_CONFIG_HOME nor HOME is an absolute path");
        si_error_hint(error, "set HOME, or name the file");
        return SOTTO_E_FILE;
    }
    if (len >= 0 && (size_t)len < size)
        return SOTTO_OK;
    if (size > 0)
        out[0] = '\0';
    si_error(error, SOTTO_E_BUFFER, "there is no place for the known servers");
    si_error_why(error, "the path would be longer than %zu bytes", size);
    return SOTTO_E_BUFFER;
}

sotto_err sotto_known_servers_lookup(const char *path, const char *address, sotto_pins *out,
                                     sotto_error *error)
{
    sotto_address canonical;
    struct si_file file = {0};
    sotto_err err;

    memset(out, 0, sizeof *out);
    if ((err = sotto_address_parse(address, &canonical, error)) != SOTTO_OK)
        return err;
    if (si_file_read_if_any(path, SI_FILE_PUBLIC, STORE_MAX, &file, error) != SOTTO_OK)
        return store_failed(error, path != NULL ? path : "no file");
    err = collect(si_span(file.text.ptr, file.text.len), canonical.text, out, error);
    if (err != SOTTO_OK)
        err = store_failed(error, path);
    si_buf_free(&file.text);
    return err;
}

/* ---- Changing -------------------------------------------------------------------------------- */

/* The store under its lock. */
struct store {
    char path[PATH_MAX]; /* of the file itself, behind symbolic links */
    int lock;
    struct si_file file;
};

/* Somebody may keep the file elsewhere, with a link in its place: the link stays, and whoever
 * comes by another path takes the same lock. */
static sotto_err resolve(struct store *store, const char *path, sotto_error *error)
{
    if (realpath(path, store->path) != NULL)
        return SOTTO_OK;
    if (errno != ENOENT)
        return store_errno(error, path, errno);
    if (strlen(path) >= sizeof store->path)
        return store_errno(error, path, ENAMETOOLONG);
    memcpy(store->path, path, strlen(path) + 1);
    return SOTTO_OK;
}

static void pause_ms(long ms)
{
    struct timespec pause = {.tv_sec = 0, .tv_nsec = ms * 1000000};

    (void)nanosleep(&pause, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A file of its own, which is never removed or renamed: a lock on the store itself would be
 * lost with the store's rename. */
static sotto_err lock_store(struct store *store, sotto_error *error)
{
    int64_t deadline = now_ms() + LOCK_WAIT_MS;
    char path[PATH_MAX + 8];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s.lock", store->path);
    do {
        store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    } while (store->lock < 0 && errno == EINTR);
    if (store->lock < 0 || fstat(store->lock, &st) != 0)
        return store_errno(error, store->path, errno);
    if (!S_ISREG(st.st_mode)) {
        (void)store_errno(error, store->path, EINVAL);
        si_error_why(error, "%s is not a regular file", path);
        si_error_hint(error, "remove it");
        return SOTTO_E_TRUST_STORE;
    }
    while (flock(store->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return store_errno(error, store->path, errno);
        if (now_ms() >= deadline) {
            (void)store_errno(error, store->path, EWOULDBLOCK);
            si_error_why(error, "another program has held the lock %s for %d s", path,
                         LOCK_WAIT_MS / 1000);
            si_error_hint(error, "try again; fuser(1) tells who holds it");
            return SOTTO_E_TRUST_STORE;
        }
        pause_ms(1 + (long)si_random_below(LOCK_PAUSE_MS));
    }
    return SOTTO_OK;
}

static sotto_err make_folders(const char *path, sotto_error *error)
{
    return si_file_make_folders(path, error) == SOTTO_OK ? SOTTO_OK : store_failed(error, path);
}

/* Closing the descriptor releases the lock. */
static void store_close(struct store *store)
{
    if (store->lock >= 0)
        (void)close(store->lock);
    si_buf_free(&store->file.text);
}

static sotto_err store_open(struct store *store, const char *path, sotto_error *error)
{
    sotto_err err;

    if ((err = resolve(store, path, error)) != SOTTO_OK ||
        (err = lock_store(store, error)) != SOTTO_OK)
        return err;
    if (si_file_read_if_any(store->path, SI_FILE_PUBLIC, STORE_MAX, &store->file, error) !=
        SOTTO_OK)
        return store_failed(error, path);
    return SOTTO_OK;
}

/* Who may read the file stays as it was; a new one is the user's alone. */
static sotto_err store_write(struct store *store, const struct si_buf *text, sotto_error *error)
{
    const struct si_file_text file = {
        .path = store->path,
        .text = si_span(text->ptr, text->len),
        .mode = store->file.missing ? 0600 : (store->file.mode & 0644) | 0600,
    };

    if (text->len > STORE_MAX) {
        (void)store_errno(error, store->path, EFBIG);
        si_error_why(error, "it would be longer than %d bytes", STORE_MAX);
        si_error_hint(error, "remove servers that are no longer used: sotto trust remove");
        return SOTTO_E_TRUST_STORE;
    }
    return si_file_replace(&file, error) == SOTTO_OK ? SOTTO_OK : store_failed(error, store->path);
}

static sotto_err check_keys(const sotto_public_key *keys, size_t count, sotto_error *error)
{
    const char *why = NULL;
    sotto_err err = SOTTO_E_USAGE;

    if (keys == NULL || count == 0 || count > SOTTO_CURVE_COUNT ||
        (count == 2 && keys[0].curve == keys[1].curve))
        why = "there is not one key for each curve";
    for (size_t i = 0; why == NULL && i < count; i++) {
        if ((err = si_key_usable(&keys[i])) != SOTTO_OK)
            why = err == SOTTO_E_KEY ? "a low-order point is no key" : sotto_strerror(err);
    }
    if (why == NULL)
        return SOTTO_OK;
    si_error(error, err, "cannot pin a key");
    si_error_why(error, "%s", why);
    return err;
}

static sotto_err put_line(struct si_buf *text, const char *address, const sotto_public_key *key)
{
    char line[SOTTO_PUBLIC_KEY_TEXT_SIZE];
    sotto_err err = sotto_public_key_format(key, line);

    if (err == SOTTO_OK && text->len > 0 && text->ptr[text->len - 1] != '\n')
        err = si_buf_puts(text, "\n");
    return err == SOTTO_OK ? si_buf_printf(text, "%s %s\n", address, line) : err;
}

static sotto_err pinned_otherwise(const char *path, const char *address, unsigned line,
                                  sotto_error *error)
{
    si_error(error, SOTTO_E_KEY_MISMATCH, "another key of %s is pinned already", address);
    si_error_why(error, "line %u of %s; it was pinned meanwhile, or the server has changed its key",
                 line, path);
    si_error_hint(error,
                  "ask the server's operator; if the new key is right: sotto trust remove %s%s%s",
                  address[0] == '[' ? "'" : "", address, address[0] == '[' ? "'" : "");
    return SOTTO_E_KEY_MISMATCH;
}

/* TEXT becomes the store's text and the lines that it lacks; *ADDED says how many. */
static sotto_err add_keys(const struct store *store, const char *address,
                          const sotto_public_key *keys, size_t count, struct si_buf *text,
                          size_t *added, sotto_error *error)
{
    struct si_span old = si_span(store->file.text.ptr, store->file.text.len);
    sotto_pins pins = {0};

    *added = 0;
    if (collect(old, address, &pins, error) != SOTTO_OK)
        return store_failed(error, store->path);
    if (si_buf_put(text, old.ptr, old.len) != SOTTO_OK)
        return store_errno(error, store->path, ENOMEM);
    for (size_t i = 0; i < count; i++) {
        size_t slot = slot_of(keys[i].curve);

        if (pins.key[slot].curve != 0) {
            if (!sotto_public_key_equal(&pins.key[slot], &keys[i]))
                return pinned_otherwise(store->path, address, pins.line[slot], error);
            continue;
        }
        if (put_line(text, address, &keys[i]) != SOTTO_OK)
            return store_errno(error, store->path, ENOMEM);
        ++*added;
    }
    return SOTTO_OK;
}

sotto_err sotto_known_servers_pin(const char *path, const char *address,
                                  const sotto_public_key *keys, size_t count, sotto_error *error)
{
    struct store store = {.lock = -1};
    struct si_buf text = si_buf(STORE_MAX + 2 * (SOTTO_ADDRESS_SIZE + SOTTO_PUBLIC_KEY_TEXT_SIZE));
    sotto_address canonical;
    size_t added;
    sotto_err err;

    if (path == NULL || path[0] == '\0')
        return si_error(error, SOTTO_E_USAGE, "no file of known servers was named");
    if ((err = sotto_address_parse(address, &canonical, error)) != SOTTO_OK ||
        (err = check_keys(keys, count, error)) != SOTTO_OK ||
        (err = make_folders(path, error)) != SOTTO_OK ||
        (err = store_open(&store, path, error)) != SOTTO_OK ||
        (err = add_keys(&store, canonical.text, keys, count, &text, &added, error)) != SOTTO_OK)
        goto out;
    if (added > 0)
        err = store_write(&store, &text, error);

out:
    store_close(&store);
    si_buf_free(&text);
    return err;
}

/* TEXT becomes the store's text without the lines of ADDRESS. */
static sotto_err drop_lines(const struct store *store, const char *address, sotto_curve curve,
                            struct si_buf *text, size_t *dropped, sotto_error *error)
{
    struct si_lines lines = si_lines(si_span(store->file.text.ptr, store->file.text.len));
    struct entry entry;
    bool more = true;
    sotto_err err;

    *dropped = 0;
    while ((err = next_entry(&lines, &entry, &more, error)) == SOTTO_OK && more) {
        if (is_for(&entry, address, curve))
            ++*dropped;
        else if (si_buf_put(text, lines.whole.ptr, lines.whole.len) != SOTTO_OK)
            return store_errno(error, store->path, ENOMEM);
    }
    return err == SOTTO_OK ? SOTTO_OK : store_failed(error, store->path);
}

sotto_err sotto_known_servers_remove(const char *path, const char *address, sotto_curve curve,
                                     size_t *removed, sotto_error *error)
{
    struct store store = {.lock = -1};
    struct si_buf text = si_buf(STORE_MAX);
    sotto_address canonical;
    struct stat st;
    size_t dropped;
    sotto_err err;

    *removed = 0;
    if (path == NULL || path[0] == '\0')
        return si_error(error, SOTTO_E_USAGE, "no file of known servers was named");
    if ((err = sotto_address_parse(address, &canonical, error)) != SOTTO_OK)
        return err;
    /* Nothing there, nothing to remove, and no lock file to be made for it. */
    if (lstat(path, &st) != 0 && errno == ENOENT)
        return SOTTO_OK;
    if ((err = store_open(&store, path, error)) != SOTTO_OK ||
        (err = drop_lines(&store, canonical.text, curve, &text, &dropped, error)) != SOTTO_OK)
        goto out;
    if (dropped > 0 && (err = store_write(&store, &text, error)) != SOTTO_OK)
        goto out;
    *removed = dropped;

out:
    store_close(&store);
    si_buf_free(&text);
    return err;
}

/* ---- Listing --------------------------------------------------------------------------------- */

/* With VISIT NULL: is every line right? */
static sotto_err walk(struct si_span text, sotto_known_server_visitor *visit, void *user,
                      sotto_error *error)
{
    struct si_lines lines = si_lines(text);
    struct entry entry;
    bool more = true;
    sotto_err err;

    while ((err = next_entry(&lines, &entry, &more, error)) == SOTTO_OK && more) {
        if (entry.idle)
            continue;
        if (visit != NULL)
            err = visit(user, entry.address, &entry.key, lines.number);
        else if ((err = si_key_usable(&entry.key)) != SOTTO_OK)
            err = bad_line_err(error, lines.number, err);
        if (err != SOTTO_OK)
            break;
    }
    return err;
}

sotto_err sotto_known_servers_each(const char *path, sotto_known_server_visitor *visit, void *user,
                                   sotto_error *error)
{
    struct si_file file = {0};
    struct si_span text;
    sotto_err err;

    if (visit == NULL)
        return si_error(error, SOTTO_E_USAGE, "there is nobody to visit the known servers");
    if (si_file_read_if_any(path, SI_FILE_PUBLIC, STORE_MAX, &file, error) != SOTTO_OK)
        return store_failed(error, path != NULL ? path : "no file");
    text = si_span(file.text.ptr, file.text.len);
    if ((err = walk(text, NULL, NULL, error)) != SOTTO_OK)
        err = store_failed(error, path);
    else
        err = walk(text, visit, user, error);
    si_buf_free(&file.text);
    return err;
}

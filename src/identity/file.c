#include "identity/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "crypto/crypto.h"

/* ---- Reading --------------------------------------------------------------------------------- */

static sotto_err cannot_read(sotto_error *error, sotto_err code, const char *path, int sys_errno)
{
    si_error(error, code, "cannot read %s", path);
    if (sys_errno != 0)
        si_error_errno(error, sys_errno);
    if (sys_errno == EACCES)
        si_error_hint(error, "run as the user that owns it");
    return code;
}

static const char *type_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a FIFO";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    case S_IFSOCK:
        return "a socket";
    default:
        return "a special file";
    }
}

static sotto_err check_type(const struct stat *st, const char *path, sotto_error *error)
{
    if (S_ISREG(st->st_mode))
        return SOTTO_OK;
    cannot_read(error, S_ISDIR(st->st_mode) ? SOTTO_E_FILE : SOTTO_E_PERMISSION, path, 0);
    si_error_why(error, "it is %s, not a regular file", type_name(st->st_mode));
    si_error_hint(error, "name a regular file");
    return S_ISDIR(st->st_mode) ? SOTTO_E_FILE : SOTTO_E_PERMISSION;
}

/* Does the opened file lie below $CREDENTIALS_DIRECTORY?  When that cannot be found out, it
 * does not. */
static bool is_credential(int fd)
{
    const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
    char root[PATH_MAX], link[64], path[PATH_MAX];
    ssize_t len;
    size_t root_len;

    if (folder == NULL || folder[0] != '/' || realpath(folder, root) == NULL)
        return false;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof path - 1);
    if (len < 0)
        return false;
    path[len] = '\0';
    root_len = strlen(root);
    return strncmp(path, root, root_len) == 0 && path[root_len] == '/';
}

static bool is_mode_allowed(int fd, const struct stat *st, enum si_file_rule rule)
{
    mode_t mode = st->st_mode & 07777;

    switch (rule) {
    case SI_FILE_SECRET:
        return (mode & 077) == 0 || (st->st_uid == 0 && (mode & ~(mode_t)0640) == 0) ||
               is_credential(fd);
    case SI_FILE_PUBLIC:
        return (mode & 022) == 0 || is_credential(fd);
    }
    return false;
}

static sotto_err check_access(int fd, const struct stat *st, enum si_file_rule rule,
                              const char *path, sotto_error *error)
{
    bool secret = rule == SI_FILE_SECRET;

    if (st->st_uid != geteuid() && st->st_uid != 0) {
        si_error(error, SOTTO_E_PERMISSION, "%s is not used", path);
        si_error_why(error, "it belongs to user %lu, not to user %lu or root",
                     (unsigned long)st->st_uid, (unsigned long)geteuid());
        si_error_hint(error, "make it yours: chown %lu %s", (unsigned long)geteuid(), path);
        return SOTTO_E_PERMISSION;
    }
    if (!is_mode_allowed(fd, st, rule)) {
        si_error(error, SOTTO_E_PERMISSION, "%s is not used", path);
        si_error_why(error, "its mode is %04lo: group or others have %s access",
                     (unsigned long)(st->st_mode & 07777), secret ? "" : "write");
        si_error_hint(error, "check who used it, then: chmod %s %s", secret ? "600" : "go-w", path);
        return SOTTO_E_PERMISSION;
    }
    return SOTTO_OK;
}

static sotto_err too_long(sotto_error *error, const char *path, size_t max)
{
    cannot_read(error, SOTTO_E_FORMAT, path, 0);
    si_error_why(error, "it is longer than %zu bytes", max);
    si_error_hint(error, "is it the right file?");
    return SOTTO_E_FORMAT;
}

/* The file may grow while it is read, and st_size of some file systems is 0: the end is where
 * read() says it is. */
static sotto_err read_all(int fd, size_t expected, size_t max, struct si_buf *text,
                          const char *path, sotto_error *error)
{
    if (expected > max)
        return too_long(error, path, max);
    for (;;) {
        size_t room = text->len < expected ? expected - text->len + 1 : 4096;
        sotto_err err;
        ssize_t n;

        if (room > max + 1 - text->len)
            room = max + 1 - text->len;
        if ((err = si_buf_reserve(text, room + SI_FILE_SPARE)) != SOTTO_OK)
            return cannot_read(error, err, path, ENOMEM);
        n = read(fd, text->ptr + text->len, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cannot_read(error, SOTTO_E_FILE, path, errno);
        text->len += (size_t)n;
        if (text->len > max)
            return too_long(error, path, max);
        if (n == 0)
            break;
    }
    memset(text->ptr + text->len, 0, SI_FILE_SPARE);
    return SOTTO_OK;
}

/* O_NONBLOCK: the open of a FIFO returns at once.  A socket cannot be opened at all (ENXIO). */
static sotto_err open_to_read(const char *path, int *fd, sotto_error *error)
{
    struct stat st;
    int saved;

    do {
        *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    } while (*fd < 0 && errno == EINTR);
    if (*fd >= 0)
        return SOTTO_OK;
    saved = errno;
    if (saved == ENXIO && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return check_type(&st, path, error);
    return cannot_read(error, SOTTO_E_FILE, path, saved);
}

static sotto_err read_file(const char *path, enum si_file_rule rule, size_t max,
                           struct si_file *out, sotto_error *error)
{
    struct stat st;
    int fd = -1;
    sotto_err err;

    if ((err = open_to_read(path, &fd, error)) != SOTTO_OK)
        return err;
    if (fstat(fd, &st) != 0) {
        err = cannot_read(error, SOTTO_E_FILE, path, errno);
        goto out;
    }
    if ((err = check_type(&st, path, error)) != SOTTO_OK ||
        (err = check_access(fd, &st, rule, path, error)) != SOTTO_OK ||
        (err = read_all(fd, (size_t)st.st_size, max, &out->text, path, error)) != SOTTO_OK)
        goto out;
    out->mode = st.st_mode & 07777;

out:
    if (err != SOTTO_OK)
        si_buf_free(&out->text);
    (void)close(fd);
    return err;
}

sotto_err si_file_read(const char *path, enum si_file_rule rule, size_t max, struct si_file *out,
                       sotto_error *error)
{
    *out = (struct si_file){.text = si_buf(max + 1 + SI_FILE_SPARE)};
    if (path == NULL) {
        si_error(error, SOTTO_E_USAGE, "cannot read a file");
        si_error_why(error, "no file was named");
        return SOTTO_E_USAGE;
    }
    return read_file(path, rule, max, out, error);
}

sotto_err si_file_read_if_any(const char *path, enum si_file_rule rule, size_t max,
                              struct si_file *out, sotto_error *error)
{
    struct stat st;

    /* lstat(), so that a link to nothing goes on to the error.  Only a clear ENOENT counts: any
     * other failure is for open() to meet and to report. */
    if (path != NULL && path[0] != '\0' && lstat(path, &st) != 0 && errno == ENOENT) {
        *out = (struct si_file){.text = si_buf(max + 1 + SI_FILE_SPARE), .missing = true};
        return SOTTO_OK;
    }
    return si_file_read(path, rule, max, out, error);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* A file on its way: complete in a temporary file, then in its place. */
struct draft {
    const struct si_file_text *file;
    const char *name; /* within the folder */
    int folder;       /* descriptor, or -1 */
    char temp[48];    /* name of the temporary file; "" when there is none */
    bool placed;
};

static sotto_err cannot_write(sotto_error *error, const char *path, int sys_errno)
{
    si_error(error, SOTTO_E_FILE, "cannot write %s", path);
    si_error_errno(error, sys_errno);
    if (sys_errno == ENOSPC || sys_errno == EDQUOT || sys_errno == EFBIG)
        si_error_hint(error, "make room there, or raise the limit, and try again");
    else if (sys_errno == ENOENT)
        si_error_hint(error, "make the folder first");
    else if (sys_errno == EACCES || sys_errno == EPERM || sys_errno == EROFS)
        si_error_hint(error, "choose a folder that you may write to");
    return SOTTO_E_FILE;
}

static sotto_err open_folder(struct draft *d, sotto_error *error)
{
    const char *path = d->file->path, *slash = strrchr(path, '/');
    char folder[PATH_MAX] = ".";
    size_t len = slash == NULL ? 0 : (size_t)(slash - path) + 1;

    d->name = path + len;
    if (d->name[0] == '\0' || strcmp(d->name, ".") == 0 || strcmp(d->name, "..") == 0)
        return cannot_write(error, path, EISDIR);
    if (len >= sizeof folder)
        return cannot_write(error, path, ENAMETOOLONG);
    if (len > 0) {
        memcpy(folder, path, len); /* with its slash: "/" stays what it is */
        folder[len] = '\0';
    }
    do {
        d->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (d->folder < 0 && errno == EINTR);
    return d->folder >= 0 ? SOTTO_OK : cannot_write(error, path, errno);
}

static int write_all(int fd, struct si_span text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return EIO;
        text = si_span(text.ptr + n, text.len - (size_t)n);
    }
    return 0;
}

static int sync_file(int fd)
{
    while (fsync(fd) != 0) {
        if (errno != EINTR)
            return errno;
    }
    return 0;
}

/* Content, mode and disk are settled before the file gets its name; close() too may be the one
 * to report a full quota. */
static sotto_err write_temp(struct draft *d, sotto_error *error)
{
    uint8_t random[8];
    char hex[2 * sizeof random + 1];
    int fd, failed = 0;
    sotto_err err;

    if ((err = si_random(random, sizeof random)) != SOTTO_OK) {
        si_error(error, err, "cannot write %s", d->file->path);
        si_error_why(error, "%s", sotto_strerror(err));
        return err;
    }
    si_hex(hex, random, sizeof random);
    (void)snprintf(d->temp, sizeof d->temp, ".sotto-%s.tmp", hex);
    do {
        fd = openat(d->folder, d->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        d->temp[0] = '\0';
        return cannot_write(error, d->file->path, errno);
    }
    failed = write_all(fd, d->file->text);
    if (failed == 0 && fchmod(fd, d->file->mode) != 0)
        failed = errno;
    if (failed == 0)
        failed = sync_file(fd);
    if (close(fd) != 0 && failed == 0)
        failed = errno;
    return failed == 0 ? SOTTO_OK : cannot_write(error, d->file->path, failed);
}

static sotto_err already_there(sotto_error *error, const char *path)
{
    si_error(error, SOTTO_E_EXISTS, "%s exists already", path);
    si_error_why(error, "it is never overwritten");
    si_error_hint(error, "choose another name, or move the old file away");
    return SOTTO_E_EXISTS;
}

static sotto_err check_free(const struct draft *d, sotto_error *error)
{
    struct stat st;

    if (fstatat(d->folder, d->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return already_there(error, d->file->path);
    return errno == ENOENT ? SOTTO_OK : cannot_write(error, d->file->path, errno);
}

/* Under the name only if that is free.  Not every file system can rename without replacing, and not
 * every one has hard links; both calls are atomic where they exist. */
static sotto_err place_new(struct draft *d, sotto_error *error)
{
    if (renameat2(d->folder, d->temp, d->folder, d->name, RENAME_NOREPLACE) == 0) {
        d->temp[0] = '\0';
    } else if (errno == EEXIST || linkat(d->folder, d->temp, d->folder, d->name, 0) != 0) {
        return errno == EEXIST ? already_there(error, d->file->path)
                               : cannot_write(error, d->file->path, errno);
    }
    d->placed = true;
    return SOTTO_OK;
}

static sotto_err place_over(struct draft *d, sotto_error *error)
{
    if (renameat(d->folder, d->temp, d->folder, d->name) != 0)
        return cannot_write(error, d->file->path, errno);
    d->temp[0] = '\0';
    d->placed = true;
    return SOTTO_OK;
}

/* The name is on the disk only when the folder is.  Some file systems cannot do that (EINVAL). */
static sotto_err sync_folder(const struct draft *d, sotto_error *error)
{
    int failed = sync_file(d->folder);

    return failed == 0 || failed == EINVAL ? SOTTO_OK : cannot_write(error, d->file->path, failed);
}

static void draft_end(struct draft *d, bool keep)
{
    if (d->temp[0] != '\0')
        (void)unlinkat(d->folder, d->temp, 0);
    if (d->placed && !keep)
        (void)unlinkat(d->folder, d->name, 0);
    if (d->folder >= 0)
        (void)close(d->folder);
}

sotto_err si_file_create(const struct si_file_text *files, size_t count, sotto_error *error)
{
    struct draft drafts[SI_FILE_SET_MAX] = {0};
    sotto_err err = SOTTO_OK;

    if (count > SI_FILE_SET_MAX)
        return si_error(error, SOTTO_E_USAGE, "too many files at once");
    for (size_t i = 0; i < count; i++) {
        drafts[i].file = &files[i];
        drafts[i].folder = -1;
    }
    for (size_t i = 0; i < count; i++) {
        if ((err = open_folder(&drafts[i], error)) != SOTTO_OK ||
            (err = check_free(&drafts[i], error)) != SOTTO_OK)
            goto out;
    }
    for (size_t i = 0; i < count; i++) {
        if ((err = write_temp(&drafts[i], error)) != SOTTO_OK)
            goto out;
    }
    for (size_t i = 0; i < count; i++) {
        if ((err = place_new(&drafts[i], error)) != SOTTO_OK)
            goto out;
    }
    for (size_t i = 0; i < count; i++) {
        if ((err = sync_folder(&drafts[i], error)) != SOTTO_OK)
            goto out;
    }

out:
    for (size_t i = 0; i < count; i++)
        draft_end(&drafts[i], err == SOTTO_OK);
    return err;
}

sotto_err si_file_replace(const struct si_file_text *file, sotto_error *error)
{
    struct draft d = {.file = file, .folder = -1};
    sotto_err err;

    if ((err = open_folder(&d, error)) != SOTTO_OK || (err = write_temp(&d, error)) != SOTTO_OK ||
        (err = place_over(&d, error)) != SOTTO_OK || (err = sync_folder(&d, error)) != SOTTO_OK)
        goto out;

out:
    draft_end(&d, true);
    return err;
}

sotto_err si_file_make_folders(const char *path, sotto_error *error)
{
    char folder[PATH_MAX];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof folder)
        return cannot_write(error, path, len == 0 ? ENOENT : ENAMETOOLONG);
    memcpy(folder, path, len + 1);
    for (char *p = strchr(folder + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
            int saved = errno;

            /* A folder that is there may be one that we could not have made. */
            if (access(folder, F_OK) != 0)
                return cannot_write(error, path, saved);
        }
        *p = '/';
    }
    return SOTTO_OK;
}

/*
 * A folder of its own for a test, and plain file helpers.  Whatever goes wrong here fails the test.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { SCRATCH_PATH = 512 };

static char scratch_folder[SCRATCH_PATH];

static inline void scratch_remove_tree(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char path[2 * SCRATCH_PATH];
        struct stat st;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        assert_int_equal(lstat(path, &st), 0);
        if (S_ISDIR(st.st_mode))
            scratch_remove_tree(path);
        else
            assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(closedir(dir), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* cmocka fixtures: a new folder for each test. */
static inline int scratch_setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    (void)snprintf(scratch_folder, sizeof scratch_folder, "%s/sotto-test-XXXXXX",
                   tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    return mkdtemp(scratch_folder) != NULL ? 0 : -1;
}

static inline int scratch_teardown(void **state)
{
    (void)state;
    scratch_remove_tree(scratch_folder);
    return 0;
}

/* The path of NAME in the folder.  It lives until the eighth next call. */
static inline const char *scratch_path(const char *name)
{
    static char paths[8][2 * SCRATCH_PATH];
    static unsigned next;
    char *path = paths[next++ % 8];

    (void)snprintf(path, sizeof paths[0], "%s/%s", scratch_folder, name);
    return path;
}

static inline void put_bytes(const char *path, const void *data, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static inline void put_text(const char *path, const char *text, mode_t mode)
{
    put_bytes(path, text, strlen(text), mode);
}

/* The whole file, with a NUL behind it; the caller frees it.  NULL when there is none. */
static inline char *get_text(const char *path)
{
    FILE *file = fopen(path, "re");
    struct stat st;
    char *text;

    if (file == NULL)
        return NULL;
    assert_int_equal(fstat(fileno(file), &st), 0);
    text = malloc((size_t)st.st_size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)st.st_size, file), (size_t)st.st_size);
    text[st.st_size] = '\0';
    assert_int_equal(fclose(file), 0);
    return text;
}

static inline void assert_file(const char *path, const char *text)
{
    char *found = get_text(path);

    assert_non_null(found);
    assert_string_equal(found, text);
    free(found);
}

/* How many entries FOLDER has. */
static inline unsigned count_files(const char *folder)
{
    DIR *dir = opendir(folder);
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    assert_int_equal(closedir(dir), 0);
    return count - 2;
}

static inline mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (strstr((text), (part)) == NULL)                                                        \
            fail_msg("\"%s\" lacks \"%s\"", (text), (part));                                       \
    } while (0)

#endif

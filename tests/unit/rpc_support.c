#include "rpc_support.h"

#include <inttypes.h>

/* ---- Memory ---------------------------------------------------------------------------------- */

struct watched_memory memory;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *ptr);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *ptr);

static bool fails(void)
{
    memory.count++;
    return memory.fail_at != 0 &&
           (memory.count == memory.fail_at || (memory.fail_all && memory.count > memory.fail_at));
}

void *__wrap_malloc(size_t size)
{
    if (fails())
        return NULL;
    memory.live++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (fails())
        return NULL;
    memory.live++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    if (fails())
        return NULL;
    memory.live += old == NULL;
    return __real_realloc(old, size);
}

void __wrap_free(void *ptr)
{
    memory.live -= ptr != NULL;
    __real_free(ptr);
}

void memory_fail(size_t n, bool all)
{
    memory.fail_at = memory.count + n + 1;
    memory.fail_all = all;
}

bool memory_heal(void)
{
    bool failed = memory.fail_at != 0 && memory.count >= memory.fail_at;

    memory.fail_at = 0;
    return failed;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

struct si_span padded(const void *text, size_t len)
{
    static const char hostile[] = "\\\",\"id\":1}]]}}\xff\xc3\x80{\"endpoint\":\"";
    char *copy = __real_malloc(len + SI_JSON_PADDING);

    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, text, len);
    for (size_t i = 0; i < SI_JSON_PADDING; i++)
        copy[len + i] = hostile[i % (sizeof hostile - 1)];
    return si_span(copy, len);
}

struct si_span padded_str(const char *text)
{
    return padded(text, strlen(text));
}

void padded_free(struct si_span text)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)text.ptr;

    memset(bytes, 0xdd, text.len + SI_JSON_PADDING);
    __real_free(bytes);
}

const char *nested(unsigned depth)
{
    static char text[2 * 200 + 1];

    assert_true(depth <= 200);
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[2 * depth] = '\0';
    return text;
}

/* ---- What was sent --------------------------------------------------------------------------- */

sotto_err wire_send(void *conn, const struct si_span *pieces, size_t count)
{
    struct wire *wire = conn;
    size_t len = 0;
    char *text;

    if (wire->broken != SOTTO_OK)
        return wire->broken;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].len;
    if (wire->max_message != 0 && len > wire->max_message)
        return SOTTO_E_TOO_LARGE;
    if (wire->fail_in != 0 && --wire->fail_in == 0) {
        wire->broken = SOTTO_E_LOST;
        return wire->broken;
    }
    wire->content = count > 3 ? pieces[3].ptr : NULL;
    if (wire->quiet) {
        wire->count++;
        return SOTTO_OK;
    }
    text = __real_malloc(len + 1);
    wire->messages = __real_realloc(wire->messages, (wire->count + 1) * sizeof(char *));
    assert_true(text != NULL && wire->messages != NULL);
    wire->messages[wire->count++] = text;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len > 0)
            memcpy(text, pieces[i].ptr, pieces[i].len);
        text += pieces[i].len;
    }
    *text = '\0';
    return SOTTO_OK;
}

const char *wire_take(struct wire *wire)
{
    return wire->taken < wire->count ? wire->messages[wire->taken++] : NULL;
}

void wire_free(struct wire *wire)
{
    for (size_t i = 0; wire->messages != NULL && i < wire->count; i++)
        __real_free(wire->messages[i]);
    __real_free(wire->messages);
    *wire = (struct wire){0};
}

void assert_sent_at(struct wire *wire, const char *text, const char *file, int line)
{
    const char *sent = wire_take(wire);

    if (text == NULL && sent == NULL)
        return;
    if (text == NULL || sent == NULL || strcmp(text, sent) != 0) {
        print_error("expected: %s\nsent:     %s\n", text == NULL ? "nothing" : text,
                    sent == NULL ? "nothing" : sent);
        _fail(file, line);
    }
}

/* ---- Vectors --------------------------------------------------------------------------------- */

struct list {
    struct si_span items[1000];
    size_t count;
};

static sotto_err collect(void *user, struct si_span name, const struct si_json_value *value)
{
    struct list *list = user;

    (void)name;
    assert_true(list->count < SI_COUNT(list->items));
    list->items[list->count++] = value->raw;
    return SOTTO_OK;
}

static sotto_err collect_id(void *user, struct si_span name, const struct si_json_value *value)
{
    struct vector *v = user;

    (void)name;
    assert_true(value->is_uint && v->in_use_count < VECTOR_IN_USE_MAX);
    v->in_use[v->in_use_count++] = value->uint;
    return SOTTO_OK;
}

static sotto_err collect_also(void *user, struct si_span name, const struct si_json_value *value)
{
    struct vector *v = user;

    (void)name;
    assert_true(v->also[0] == '\0' && value->str.len < sizeof v->also); /* only one so far */
    memcpy(v->also, value->str.ptr, value->str.len);
    return SOTTO_OK;
}

static void copy_string(char *to, size_t size, const struct si_json_value *value)
{
    size_t len = value->str.len < size ? value->str.len : size - 1;

    if (len > 0)
        memcpy(to, value->str.ptr, len);
    to[len] = '\0';
}

static void copy_hex(struct vector *v, struct si_span hex)
{
    v->len = hex.len / 2;
    v->data = __real_malloc(v->len + 1);
    assert_non_null(v->data);
    for (size_t i = 0; i < v->len; i++) {
        unsigned byte;

        assert_int_equal(sscanf((const char *)hex.ptr + 2 * i, "%2x", &byte), 1);
        v->data[i] = (uint8_t)byte;
    }
}

static void read_vector(struct si_json *json, struct si_span text, struct vector *v)
{
    enum { WHY, EXPECT, ALSO, COUNT, IN_USE, ID, CONTENT, HEX };
    struct si_json_member m[] = {{.name = "why"},     {.name = "expect"}, {.name = "also"},
                                 {.name = "count"},   {.name = "in_use"}, {.name = "id"},
                                 {.name = "content"}, {.name = "hex"}};

    *v = (struct vector){0};
    assert_int_equal(si_json_read_copy(json, text, m, SI_COUNT(m), NULL), SOTTO_OK);
    copy_string(v->why, sizeof v->why, &m[WHY].value);
    copy_string(v->expect, sizeof v->expect, &m[EXPECT].value);
    v->count = m[COUNT].value.uint;
    v->id = m[ID].value.uint;
    if (m[CONTENT].value.type == SI_JSON_STRING) {
        v->content_len = m[CONTENT].value.str.len;
        v->content = __real_malloc(v->content_len + 1);
        assert_non_null(v->content);
        copy_string(v->content, v->content_len + 1, &m[CONTENT].value);
    }
    copy_hex(v, m[HEX].value.raw.len >= 2 ? m[HEX].value.str : si_span(NULL, 0));
    assert_int_equal(si_json_each(json, m[IN_USE].value.raw, collect_id, v, NULL), SOTTO_OK);
    if (m[ALSO].value.type == SI_JSON_ARRAY)
        assert_int_equal(si_json_each(json, m[ALSO].value.raw, collect_also, v, NULL), SOTTO_OK);
}

static char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *bytes;
    long size;

    if (f == NULL) {
        print_error("cannot open %s\n", path);
        fail();
        return NULL;
    }
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    assert_true(size > 0);
    rewind(f);
    *len = (size_t)size;
    bytes = __real_malloc(*len);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *len, f), *len);
    fclose(f);
    return bytes;
}

size_t for_each_vector(const char *file, const char *name,
                       void (*test)(const struct vector *vector, void *user), void *user)
{
    static struct list list;
    struct si_json_member negative = {.name = "negative"}, cases = {.name = name};
    struct si_json *json;
    size_t len = 0;
    char *text = read_file(file, &len);

    assert_int_equal(si_json_new(&json), SOTTO_OK);
    assert_int_equal(si_json_read_copy(json, si_span(text, len), &negative, 1, NULL), SOTTO_OK);
    assert_int_equal(si_json_read_copy(json, negative.value.raw, &cases, 1, NULL), SOTTO_OK);
    list.count = 0;
    assert_int_equal(si_json_each(json, cases.value.raw, collect, &list, NULL), SOTTO_OK);
    for (size_t i = 0; i < list.count; i++) {
        struct vector v;

        read_vector(json, list.items[i], &v);
        test(&v, user);
        __real_free(v.content);
        __real_free(v.data);
    }
    si_json_free(json);
    __real_free(text);
    return list.count;
}

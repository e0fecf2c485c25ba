/*
 * The fixed vectors of protocol.json (see README.md here), which an independent implementation
 * made, against the identity, noise and session layers, in both roles.
 *
 * The program is linked with -Wl,--wrap: for the functions that choose a DH, so that ephemeral keys
 * are the vectors' own; and for those that write a negotiation, a server hello and a bootstrap
 * document, so that a text which a side may spell as it likes is spelled as in the vectors.
 * Everything else is the product.
 */
#include "../attack/fixed_dh.h"
#include "../attack/peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "identity/secrets.h"
#include "json/json.h"
#include "session/document.h"
#include "session/negotiation.h"
#include "session/records.h"

/* ---- What is replaced ------------------------------------------------------------------------ */

/* Texts to be written instead of our own; without a pointer, our own. */
static struct si_span negotiation_text, hello_text, document_text;

sotto_err __real_si_negotiation_write(const struct si_negotiation *n, struct si_buf *out);
sotto_err __wrap_si_negotiation_write(const struct si_negotiation *n, struct si_buf *out);
sotto_err __real_si_hello_write(const struct si_hello *hello, const char *agent,
                                struct si_buf *out);
sotto_err __wrap_si_hello_write(const struct si_hello *hello, const char *agent,
                                struct si_buf *out);
sotto_err __real_si_document_write(const sotto_psk_parameters *parameters, sotto_curve curve,
                                   const sotto_public_key *keys, sotto_client_auth client_auth,
                                   uint32_t expires_in_s, struct si_buf *out);
sotto_err __wrap_si_document_write(const sotto_psk_parameters *parameters, sotto_curve curve,
                                   const sotto_public_key *keys, sotto_client_auth client_auth,
                                   uint32_t expires_in_s, struct si_buf *out);

sotto_err __wrap_si_negotiation_write(const struct si_negotiation *n, struct si_buf *out)
{
    if (negotiation_text.ptr != NULL)
        return si_buf_put(out, negotiation_text.ptr, negotiation_text.len);
    return __real_si_negotiation_write(n, out);
}

sotto_err __wrap_si_hello_write(const struct si_hello *hello, const char *agent, struct si_buf *out)
{
    if (hello_text.ptr != NULL)
        return si_buf_put(out, hello_text.ptr, hello_text.len);
    return __real_si_hello_write(hello, agent, out);
}

sotto_err __wrap_si_document_write(const sotto_psk_parameters *parameters, sotto_curve curve,
                                   const sotto_public_key *keys, sotto_client_auth client_auth,
                                   uint32_t expires_in_s, struct si_buf *out)
{
    if (document_text.ptr != NULL)
        return si_buf_put(out, document_text.ptr, document_text.len);
    return __real_si_document_write(parameters, curve, keys, client_auth, expires_in_s, out);
}

static void replace_nothing(void)
{
    fixed_ephemeral = negotiation_text = hello_text = document_text = si_span(NULL, 0);
}

/* ---- Reading the file ------------------------------------------------------------------------ */

static struct {
    char *text;
    struct si_json *json;
    struct si_span root;
    void *taken[200000]; /* what get_text() and get_hex() gave out */
    size_t taken_count;
} file;

static void *take(size_t len)
{
    void *p = malloc(len + 1);

    assert_non_null(p);
    assert_true(file.taken_count < SI_COUNT(file.taken));
    file.taken[file.taken_count++] = p;
    return p;
}

/* What was given out since MARK is not needed any more. */
static void give_back(size_t mark)
{
    while (file.taken_count > mark)
        free(file.taken[--file.taken_count]);
}

static struct si_json_value get(struct si_span object, const char *name)
{
    struct si_json_member m = {.name = name};

    assert_int_equal(si_json_read_copy(file.json, object, &m, 1, NULL), SOTTO_OK);
    return m.value;
}

static struct si_span raw(struct si_span object, const char *name)
{
    struct si_json_member m = {.name = name, .opaque = true};
    struct si_span copy;
    uint8_t *p;

    /* the reader copied the text: keep what it found */
    assert_int_equal(si_json_read_copy(file.json, object, &m, 1, NULL), SOTTO_OK);
    if (m.value.type == SI_JSON_ABSENT || m.value.type == SI_JSON_NULL)
        return si_span(NULL, 0);
    p = take(m.value.raw.len);
    memcpy(p, m.value.raw.ptr, m.value.raw.len);
    copy = si_span(p, m.value.raw.len);
    return copy;
}

static bool has(struct si_span object, const char *name)
{
    enum si_json_type type = get(object, name).type;

    return type != SI_JSON_ABSENT && type != SI_JSON_NULL;
}

/* A string, NUL-terminated; NULL when there is none. */
static struct si_span get_text(struct si_span object, const char *name)
{
    struct si_json_value v = get(object, name);
    char *p;

    if (v.type != SI_JSON_STRING)
        return si_span(NULL, 0);
    p = take(v.str.len);
    memcpy(p, v.str.ptr, v.str.len);
    p[v.str.len] = '\0';
    return si_span(p, v.str.len);
}

static const char *get_str(struct si_span object, const char *name)
{
    struct si_span s = get_text(object, name);

    return s.ptr == NULL ? "" : (const char *)s.ptr;
}

static struct si_span unhex(struct si_span hex)
{
    uint8_t *p = take(hex.len / 2);

    assert_int_equal(si_unhex(p, hex.len / 2, hex), SOTTO_OK);
    return si_span(p, hex.len / 2);
}

static struct si_span get_hex(struct si_span object, const char *name)
{
    struct si_span hex = get_text(object, name);

    return hex.ptr == NULL ? hex : unhex(hex);
}

static uint64_t get_uint(struct si_span object, const char *name)
{
    struct si_json_value v = get(object, name);

    assert_true(v.is_uint);
    return v.uint;
}

static bool get_bool(struct si_span object, const char *name)
{
    return get(object, name).type == SI_JSON_TRUE;
}

/* The elements of an array, copied. */
struct elements {
    struct si_span *at;
    size_t count, room;
};

static sotto_err add_element(void *user, struct si_span name, const struct si_json_value *value)
{
    struct elements *e = user;
    struct si_span text = value->type == SI_JSON_STRING ? value->str : value->raw;
    uint8_t *p = take(text.len);

    (void)name;
    memcpy(p, text.ptr, text.len);
    if (e->count == e->room) {
        e->room = 2 * e->room + 16;
        e->at = realloc(e->at, e->room * sizeof *e->at);
        assert_non_null(e->at);
    }
    e->at[e->count++] = si_span(p, text.len);
    return SOTTO_OK;
}

static struct elements elements_of(struct si_span object, const char *name)
{
    struct elements e = {NULL, 0, 0};
    struct si_span array = raw(object, name);
    struct si_json *json;

    if (array.ptr == NULL)
        return e;
    assert_int_equal(si_json_new(&json), SOTTO_OK);
    assert_int_equal(si_json_each(json, array, add_element, &e, NULL), SOTTO_OK);
    si_json_free(json);
    return e;
}

typedef void case_function(struct si_span c, void *user);

/* Every case of a list. */
static size_t for_each(struct si_span object, const char *name, case_function *function, void *user)
{
    size_t mark = file.taken_count;
    struct elements e = elements_of(object, name);
    size_t inner = file.taken_count;

    for (size_t i = 0; i < e.count; i++) {
        replace_nothing();
        function(e.at[i], user);
        give_back(inner);
    }
    replace_nothing();
    free(e.at);
    give_back(mark);
    assert_true(e.count > 0);
    return e.count;
}

static bool also(struct si_span c, const char *outcome)
{
    struct elements e = elements_of(c, "also");
    bool found = false;

    for (size_t i = 0; i < e.count; i++)
        found = found ||
                (e.at[i].len == strlen(outcome) && memcmp(e.at[i].ptr, outcome, e.at[i].len) == 0);
    free(e.at);
    return found;
}

/* The case has the outcome that it expects, or one that it takes too. */
static void assert_outcome(struct si_span c, const char *outcome)
{
    if (strcmp(get_str(c, "expect"), outcome) != 0 && !also(c, outcome))
        fail_msg("%s: %s instead of %s", get_str(c, "why"), outcome, get_str(c, "expect"));
}

static bool expects(struct si_span c, const char *outcome)
{
    return strcmp(get_str(c, "expect"), outcome) == 0;
}

/* ---- The deployment -------------------------------------------------------------------------- */

static struct world w;
static struct si_span deployment, negative;

static sotto_curve curve_of(struct si_span object, const char *name)
{
    sotto_curve curve = sotto_curve_by_name(get_str(object, name));

    assert_int_not_equal(curve, 0);
    return curve;
}

static sotto_keypair *keypair(struct si_span object, sotto_curve curve, sotto_public_key *pub)
{
    struct si_span keys = raw(object, sotto_curve_name(curve));
    struct si_span private_key = get_hex(keys, "private"), public_key = get_hex(keys, "public");
    struct si_private_key priv = {{0}};
    sotto_keypair *pair = NULL;
    char fingerprint[SOTTO_FINGERPRINT_SIZE];

    memcpy(priv.bytes, private_key.ptr, private_key.len);
    assert_int_equal(si_keypair_from_private(curve, &priv, &pair), SOTTO_OK);
    *pub = sotto_keypair_public(pair);
    assert_memory_equal(pub->bytes, public_key.ptr, public_key.len);
    assert_int_equal(sotto_fingerprint(pub, fingerprint), SOTTO_OK);
    assert_string_equal(fingerprint, get_str(keys, "fingerprint"));
    return pair;
}

static sotto_secrets *make_secrets(struct si_span shared, const struct si_span *salts, size_t count)
{
    sotto_secrets *s = si_secrets_new(count);

    assert_non_null(s);
    assert_null(si_secrets_set_string(&s->shared_string, shared));
    for (size_t i = 0; i < count; i++)
        assert_null(si_secrets_set_salt(&s->salts[i], salts[i]));
    s->iterations = 10000;
    return s;
}

/* With the deployment's salts, or as many of them. */
static sotto_secrets *deployment_secrets(size_t count)
{
    struct elements salts = elements_of(deployment, "salts");
    sotto_secrets *s;

    assert_int_equal(salts.count, 100);
    assert_true(count <= salts.count);
    s = make_secrets(get_hex(deployment, "shared_string_hex"), salts.at, count);
    free(salts.at);
    return s;
}

static void take_parameters(struct si_span object, sotto_psk_parameters *p)
{
    struct si_span id = get_hex(object, "server_id"), text = get_hex(object, "server_string_hex");

    memset(p, 0, sizeof *p);
    assert_int_equal(id.len, sizeof p->server_id);
    memcpy(p->server_id, id.ptr, id.len);
    assert_true(text.len <= sizeof p->server_string);
    memcpy(p->server_string, text.ptr, text.len);
    p->server_string_len = (uint32_t)text.len;
    p->iterations = (uint32_t)get_uint(object, "iterations");
    if (has(object, "salt_index"))
        p->salt_index = (uint32_t)get_uint(object, "salt_index");
}

static const char *client_is_friend(void *user, const sotto_public_key *key)
{
    (void)user;
    return sotto_public_key_equal(key, &w.client_key[key->curve - 1]) ? "friend" : NULL;
}

static const char *client_is_nobody(void *user, const sotto_public_key *key)
{
    (void)user;
    (void)key;
    return NULL;
}

static int setup(void **state)
{
    FILE *f = fopen(PROTOCOL_JSON, "rbe");
    struct si_span server, client;
    sotto_acceptor_options o;
    sotto_secrets *secrets;
    long size;

    (void)state;
    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) <= 0)
        return -1;
    rewind(f);
    file.text = malloc((size_t)size);
    assert_non_null(file.text);
    assert_int_equal(fread(file.text, 1, (size_t)size, f), (size_t)size);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(si_json_new(&file.json), SOTTO_OK);
    file.root = si_span(file.text, (size_t)size);
    deployment = raw(file.root, "deployment");
    negative = raw(file.root, "negative");
    assert_true(deployment.len > 0 && negative.len > 0);

    server = raw(deployment, "server_static");
    client = raw(deployment, "client_identity");
    take_parameters(deployment, &w.parameters);
    secrets = deployment_secrets(100);
    for (int i = 0; i < SOTTO_CURVE_COUNT; i++) {
        sotto_curve curve = (sotto_curve)(i + 1);

        w.server[i] = keypair(server, curve, &w.server_key[i]);
        w.client[i] = keypair(client, curve, &w.client_key[i]);
        assert_int_equal(sotto_keypair_generate(curve, &w.stranger[i]), SOTTO_OK);
        assert_int_equal(sotto_psk_derive(secrets, curve, &w.parameters, 0, 0, &w.psk[i]),
                         SOTTO_OK);
        assert_int_equal(sotto_gate_derive(secrets, curve, &w.gate[i]), SOTTO_OK);
    }
    sotto_secrets_free(secrets);
    assert_int_equal(sotto_epoch(w.parameters.server_id, w.epoch), SOTTO_OK);
    o = world_acceptor_options(&w);
    w.plain = world_acceptor(&o);
    o.gate = 1;
    w.gated = world_acceptor(&o);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(&w);
    give_back(0);
    si_json_free(file.json);
    free(file.text);
    return 0;
}

/* ---- kdf (section 5) ------------------------------------------------------------------------- */

static void assert_hex(const void *found, size_t len, struct si_span expected)
{
    assert_int_equal(len, expected.len);
    assert_memory_equal(found, expected.ptr, len);
}

static void kdf_psk(struct si_span c, void *user)
{
    struct elements salts = elements_of(deployment, "salts");
    struct si_span salt = get_text(c, "salt");
    bool indexed = has(c, "salt_index");
    sotto_secrets *s = indexed ? make_secrets(get_hex(c, "shared_string_hex"), salts.at, 100)
                               : make_secrets(get_hex(c, "shared_string_hex"), &salt, 1);
    sotto_psk_parameters p;
    uint8_t epoch[SOTTO_EPOCH_LEN];
    sotto_psk psk;

    (void)user;
    take_parameters(c, &p);
    if (indexed)
        assert_hex(s->salts[p.salt_index].bytes, s->salts[p.salt_index].len, unhex(salt));
    assert_int_equal(sotto_psk_derive(s, SOTTO_CURVE_25519, &p, 0, 0, &psk), SOTTO_OK);
    assert_hex(psk.bytes, sizeof psk.bytes, get_hex(c, "psk_25519"));
    assert_int_equal(sotto_psk_derive(s, SOTTO_CURVE_448, &p, 0, 0, &psk), SOTTO_OK);
    assert_hex(psk.bytes, sizeof psk.bytes, get_hex(c, "psk_448"));
    assert_int_equal(sotto_epoch(p.server_id, epoch), SOTTO_OK);
    assert_hex(epoch, sizeof epoch, get_hex(c, "epoch"));
    sotto_secrets_free(s);
    free(salts.at);
}

static void kdf_gate(struct si_span c, void *user)
{
    struct si_span salt = get_text(c, "salt0");
    sotto_secrets *s = make_secrets(get_hex(c, "shared_string_hex"), &salt, 1);
    sotto_psk psk;

    (void)user;
    s->iterations = 54321; /* always 10000, whatever else is configured */
    assert_int_equal(sotto_gate_derive(s, SOTTO_CURVE_25519, &psk), SOTTO_OK);
    assert_hex(psk.bytes, sizeof psk.bytes, get_hex(c, "gate_25519"));
    assert_int_equal(sotto_gate_derive(s, SOTTO_CURVE_448, &psk), SOTTO_OK);
    assert_hex(psk.bytes, sizeof psk.bytes, get_hex(c, "gate_448"));
    sotto_secrets_free(s);
}

static void kdf_fingerprint(struct si_span c, void *user)
{
    sotto_public_key key = {.curve = curve_of(c, "curve")};
    struct si_span bytes = get_hex(c, "public_key");
    char text[SOTTO_FINGERPRINT_SIZE], base64[128];

    (void)user;
    memcpy(key.bytes, bytes.ptr, bytes.len);
    assert_int_equal(sotto_fingerprint(&key, text), SOTTO_OK);
    assert_string_equal(text, get_str(c, "fingerprint"));
    si_base64(base64, key.bytes, bytes.len, true);
    assert_string_equal(base64, get_str(c, "base64"));
}

static void kdf_epoch(struct si_span c, void *user)
{
    struct si_span id = get_hex(c, "server_id");
    uint8_t epoch[SOTTO_EPOCH_LEN];

    (void)user;
    assert_int_equal(id.len, SOTTO_SERVER_ID_LEN);
    assert_int_equal(sotto_epoch(id.ptr, epoch), SOTTO_OK);
    assert_hex(epoch, sizeof epoch, get_hex(c, "epoch"));
}

static void key_derivation(void **state)
{
    struct si_span kdf = raw(file.root, "kdf");

    (void)state;
    assert_true(for_each(kdf, "psk", kdf_psk, NULL) >= 22);
    assert_true(for_each(kdf, "gate", kdf_gate, NULL) >= 13);
    assert_true(for_each(kdf, "fingerprint", kdf_fingerprint, NULL) >= 6);
    (void)for_each(kdf, "epoch", kdf_epoch, NULL);
}

/* ---- Transcripts ----------------------------------------------------------------------------- */

struct counts {
    unsigned transcripts, frames, equal, opened;
};

/* A transcript from the side of one of our sessions. */
struct play {
    struct si_span t;
    unsigned me;
    struct end end;
    size_t seen;               /* of end.out */
    size_t logged;             /* of end.log */
    bool in_step;              /* every record so far was the vector's, so the nonces are too */
    bool same_h;               /* every handshake frame was the vector's, byte for byte */
    struct si_cipher_state tx; /* a model of what we send with */
    struct si_cipher_state rx; /* and of the other side */
    struct counts *counts;
};

static void model_init(struct play *p)
{
    const struct si_aead *aead = si_cipher_aead(sotto_cipher_by_name(get_str(p->t, "cipher")));
    struct si_span key[2] = {get_hex(p->t, "client_to_server_key"),
                             get_hex(p->t, "server_to_client_key")};
    struct si_cipher_key k;

    si_cipher_init(&p->tx, aead);
    si_cipher_init(&p->rx, aead);
    if (key[0].ptr == NULL)
        return;
    memcpy(k.bytes, key[p->me].ptr, sizeof k.bytes);
    si_cipher_set_key(&p->tx, &k);
    memcpy(k.bytes, key[!p->me].ptr, sizeof k.bytes);
    si_cipher_set_key(&p->rx, &k);
}

/* The record that we have just sent, opened by the model; its wire bytes in *WIRE. */
static struct si_span next_record(struct play *p, struct si_span *wire)
{
    struct si_span left = si_span(p->end.out.ptr + p->seen, p->end.out.len - p->seen);
    size_t len = transport_frame_len(left);
    uint8_t *plain = take(len);

    if (len == 0)
        fail_msg("%s: nothing was sent", get_str(p->t, "name"));
    assert_int_equal(si_cipher_decrypt(&p->tx, si_span(NULL, 0), left.ptr + 2, len - 2, plain),
                     SOTTO_OK);
    p->seen += len;
    *wire = si_span(left.ptr, len);
    assert_int_equal(si_get_be16(plain), len - 2 - SI_TAG_LEN - 2); /* no padding */
    return si_span(plain + 2, len - 2 - SI_TAG_LEN - 2);
}

/* Is BODY exactly these messages? */
static bool is_whole(struct si_span body, const struct elements *messages)
{
    size_t at = 0;

    for (size_t i = 0; i < messages->count; i++) {
        if (body.len - at < 4 + messages->at[i].len ||
            si_get_be32(body.ptr + at) != messages->at[i].len)
            return false;
        at += 4 + messages->at[i].len;
    }
    return messages->count > 0 && at == body.len;
}

static bool is_close(struct si_span text)
{
    return text.len > 9 && memcmp(text.ptr, "{\"close\":", 9) == 0;
}

static void send_message(struct play *p, struct si_span text)
{
    if (is_close(text)) {
        struct si_span close = raw(text, "close");

        assert_int_equal(sotto_session_close(p->end.session, get_str(close, "code"),
                                             get_str(close, "message"), 0),
                         SOTTO_OK);
    } else {
        assert_int_equal(end_send(&p->end, text.ptr, text.len), SOTTO_OK);
    }
}

/* A transport frame of ours. */
static void our_record(struct play *p, struct si_span f)
{
    struct si_span body = get_hex(f, "body"), wire = get_hex(f, "wire"), sent, sent_wire;
    struct elements messages = elements_of(f, "messages");
    bool padded = get_hex(f, "padding").len > 0, whole = is_whole(body, &messages);
    bool automatic = p->end.out.len > p->seen; /* keep-alives, the close of a denied client */

    end_work(&p->end);
    automatic = p->end.out.len > p->seen;
    if (!automatic && messages.count == 0) {
        /* a part of a message, or a keep-alive that we had no reason to send */
        p->in_step = false;
        free(messages.at);
        return;
    }
    if (!automatic) {
        for (size_t i = 0; i < messages.count; i++)
            send_message(p, messages.at[i]);
        end_work(&p->end);
    }
    sent = next_record(p, &sent_wire);
    if (body.len == 0) {
        assert_int_equal(sent.len, 0);
    } else {
        assert_true(whole || messages.count > 0);
        if (whole && !automatic)
            assert_hex(sent.ptr, sent.len, body);
        else if (!whole)
            p->in_step = false; /* the vector needed more records for it than we do */
    }
    if (padded)
        p->in_step = false;
    /* the nonces are the same as long as we are in step: then the frames are too */
    if (sent.len == body.len && !padded && p->in_step) {
        assert_hex(sent_wire.ptr, sent_wire.len, wire);
        p->counts->equal++;
    }
    p->counts->opened++;
    free(messages.at);
}

static void our_handshake(struct play *p, struct si_span f)
{
    struct si_span wire = get_hex(f, "wire");
    bool padded = get_hex(f, "padding").len > 0;

    end_work(&p->end);
    if (padded) {
        /* we send no padding: up to the encrypted payload it is the same */
        size_t same = 4 + sotto_curve_key_len(curve_of(p->t, "curve"));
        size_t len =
            handshake_frame_len(si_span(p->end.out.ptr + p->seen, p->end.out.len - p->seen));

        assert_int_equal(len, wire.len - get_hex(f, "padding").len);
        assert_memory_equal(p->end.out.ptr + p->seen + 4, wire.ptr + 4, same - 4);
        p->seen += len;
        p->same_h = false;
        return;
    }
    assert_true(p->end.out.len - p->seen >= wire.len);
    if (memcmp(p->end.out.ptr + p->seen, wire.ptr, wire.len) != 0)
        fail_msg("%s: %s differs", get_str(p->t, "name"), get_str(f, "name"));
    p->seen += wire.len;
    p->counts->equal++;
}

/* A frame of the other side: its messages come out of us. */
static void their_frame(struct play *p, struct si_span f)
{
    struct si_span wire = get_hex(f, "wire");
    struct elements messages = elements_of(f, "messages");
    struct bytes expected = {NULL, 0, 0};

    (void)end_feed(&p->end, wire.ptr, wire.len);
    for (size_t i = 0; i < messages.count; i++) {
        uint8_t head[5] = {SOTTO_EVENT_MESSAGE};

        si_put_be32(head + 1, (uint32_t)messages.at[i].len);
        bytes_add(&expected, head, sizeof head);
        bytes_add(&expected, messages.at[i].ptr, messages.at[i].len);
    }
    /* events that are not messages come first */
    while (p->logged < p->end.log.len && p->end.log.ptr[p->logged] != SOTTO_EVENT_MESSAGE)
        p->logged += 5;
    assert_int_equal(p->end.log.len - p->logged, expected.len);
    if (expected.len > 0)
        assert_memory_equal(p->end.log.ptr + p->logged, expected.ptr, expected.len);
    p->logged = p->end.log.len;
    p->counts->opened++;
    bytes_free(&expected);
    free(messages.at);
}

static enum pattern pattern_of(struct si_span t)
{
    for (int i = 0; i < PATTERNS; i++)
        if (strcmp(pattern_names[i], get_str(t, "pattern")) == 0)
            return (enum pattern)i;
    fail();
    return XX;
}

static void begin_client(struct play *p, const int64_t *now)
{
    enum pattern pattern = pattern_of(p->t);
    sotto_session_client_options o = world_client_options(
        &w, pattern, curve_of(p->t, "curve"), sotto_cipher_by_name(get_str(p->t, "cipher")));
    struct si_span text = get_text(p->t, "negotiation"), e = get_hex(p->t, "epoch");
    struct si_json_value max = get(text, "max_message");
    sotto_session *session = NULL;

    if (pattern != NKPSK0)
        o.identity = w.client[o.curve - 1];
    if (max.type != SI_JSON_ABSENT)
        o.max_message = (uint32_t)max.uint;
    if (e.ptr != NULL)
        assert_memory_equal(o.epoch, e.ptr, sizeof o.epoch);
    if (has(p->t, "psk"))
        assert_hex(o.psk->bytes, SOTTO_PSK_LEN, get_hex(p->t, "psk"));
    if (has(p->t, "gate_psk"))
        assert_hex(o.gate->bytes, SOTTO_PSK_LEN, get_hex(p->t, "gate_psk"));
    negotiation_text = text;
    fixed_ephemeral = get_hex(p->t, "client_ephemeral_private");
    assert_int_equal(sotto_session_client_new(&o, *now, &session), SOTTO_OK);
    end_init(&p->end, session, now);
}

static sotto_acceptor *begin_server(struct play *p, const int64_t *now, struct si_span first_text)
{
    sotto_acceptor_options o = world_acceptor_options(&w);
    sotto_session *session = NULL;
    sotto_acceptor *acceptor;
    enum pattern pattern = pattern_of(p->t);
    const char *name = get_str(p->t, "name");

    o.gate = pattern == XXPSK0;
    o.client_lookup = client_is_friend;
    if (strstr(name, "denied") != NULL) {
        /* nobody is known */
        o.client_auth = SOTTO_CLIENT_AUTH_REQUIRED;
        o.client_lookup = client_is_nobody;
    }
    if (strstr(name, "refused") != NULL)
        o.epoch[0] ^= 1;
    if (!is_bootstrap(pattern) && first_text.ptr != NULL) {
        struct si_json_value max = get(first_text, "max_message");

        hello_text = first_text;
        if (max.type != SI_JSON_ABSENT)
            o.max_message = (uint32_t)max.uint;
    } else {
        document_text = first_text;
    }
    fixed_ephemeral = get_hex(p->t, "server_ephemeral_private");
    acceptor = world_acceptor(&o);
    assert_int_equal(sotto_session_server_new(acceptor, *now, &session), SOTTO_OK);
    end_init(&p->end, session, now);
    return acceptor;
}

static void check_bootstrap(struct play *p)
{
    struct si_span s = get_text(p->t, "server_string"), id = get_hex(p->t, "server_id");
    (void)p;
    assert_true(s.len > 0);
    assert_hex(w.parameters.server_string, w.parameters.server_string_len, s);
    assert_hex(w.parameters.server_id, SOTTO_SERVER_ID_LEN, id);
}

/* What the document event held. */
static sotto_bootstrap got;

static void keep_bootstrap(struct end *end, const sotto_event *event, void *user)
{
    (void)end;
    (void)user;
    if (event->type == SOTTO_EVENT_BOOTSTRAP)
        got = *event->bootstrap;
    if (event->type == SOTTO_EVENT_SERVER_KEY)
        got.server_key = *event->key;
}

static void play(struct si_span t, unsigned me, struct counts *counts)
{
    struct play p = {.t = t, .me = me, .in_step = true, .same_h = true, .counts = counts};
    const char *name = get_str(t, "name");
    bool denied = strstr(name, "denied") != NULL, refused = strstr(name, "refused") != NULL;
    bool bootstrap = is_bootstrap(pattern_of(t));
    sotto_acceptor *acceptor = NULL;
    struct elements frames = elements_of(t, "frames");
    struct si_span first_text = si_span(NULL, 0), h = get_hex(t, "handshake_hash");
    int64_t now = ms(9);

    for (size_t i = 0; i < frames.count && first_text.ptr == NULL; i++)
        first_text = get_text(frames.at[i], "body_text");
    if (me == CLIENT)
        begin_client(&p, &now);
    else
        acceptor = begin_server(&p, &now, first_text);
    p.end.hook = keep_bootstrap;
    p.end.no_close_back = true;
    memset(&got, 0, sizeof got);
    model_init(&p);
    for (size_t i = 0; i < frames.count; i++) {
        struct si_span f = frames.at[i];
        const char *kind = get_str(f, "kind");
        bool ours = (strcmp(get_str(f, "from"), "client") == 0) == (me == CLIENT);

        counts->frames++;
        if (!ours) {
            /* the keep-alives in a transcript answer ours: without them in step, one too many is
             * harmless */
            their_frame(&p, f);
        } else if (strcmp(kind, "handshake") == 0) {
            our_handshake(&p, f);
        } else if (strcmp(kind, "refusal") == 0) {
            struct bytes out = {p.end.out.ptr + p.seen, p.end.out.len - p.seen, 0};

            /* the text is ours; the code is the vector's */
            assert_int_equal(handshake_frame_len(si_span(out.ptr, out.len)), out.len);
            assert_non_null(memmem(out.ptr, out.len, "\"unknown_epoch\"", 15));
            p.seen = p.end.out.len;
        } else if (bootstrap && denied) {
            struct si_span wire, body = next_record(&p, &wire);

            assert_non_null(memmem(body.ptr, body.len, "\"error\":{\"code\":\"denied\"", 23));
        } else if (bootstrap) {
            struct si_span wire, body = next_record(&p, &wire);

            /* the text is the vector's; our record has no padding */
            assert_hex(body.ptr, body.len, get_hex(f, "body"));
            if (get_hex(f, "padding").len == 0) {
                assert_hex(wire.ptr, wire.len, get_hex(f, "wire"));
                counts->equal++;
            }
            counts->opened++;
        } else if (denied && me == SERVER) {
            struct si_span wire, body = next_record(&p, &wire);

            assert_non_null(memmem(body.ptr, body.len, "\"close\":{\"code\":\"denied\"", 23));
        } else {
            our_record(&p, f);
        }
    }
    if (refused) {
        if (me == CLIENT) {
            assert_int_equal(p.end.err, SOTTO_E_REFUSED);
            assert_string_equal(sotto_session_refusal_code(p.end.session), "unknown_epoch");
            assert_string_equal(sotto_session_refusal_message(p.end.session), "no such epoch");
            assert_int_equal(sotto_session_refusal_retry_ms(p.end.session), 250);
        }
    } else {
        size_t len = 0;
        const uint8_t *found = sotto_session_handshake_hash(p.end.session, &len);

        if (p.same_h)
            assert_hex(found, len, h);
        if (bootstrap && me == CLIENT && denied) {
            assert_int_equal(p.end.err, SOTTO_E_DENIED);
        } else if (bootstrap && me == CLIENT) {
            assert_int_equal(p.end.err, SOTTO_OK);
            assert_int_equal(p.end.bootstraps, 1);
            check_bootstrap(&p);
            assert_int_equal(got.parameters.salt_index, get_uint(t, "salt_index"));
            assert_int_equal(got.parameters.iterations, get_uint(t, "iterations"));
            assert_memory_equal(&got.parameters, &w.parameters, sizeof got.parameters);
            assert_memory_equal(got.server_key.bytes, get_hex(t, "server_static_public").ptr,
                                sotto_curve_key_len(got.server_key.curve));
            for (int i = 0; i < SOTTO_CURVE_COUNT; i++)
                if ((sotto_curve)(i + 1) != got.server_key.curve)
                    assert_true(sotto_public_key_equal(&got.other_keys[i], &w.server_key[i]));
        } else if (me == SERVER && pattern_of(t) == IKPSK0 && !denied) {
            assert_string_equal(sotto_session_client_name(p.end.session), "friend");
        }
        if (!denied)
            assert_int_equal(p.end.err, SOTTO_OK);
    }
    assert_true(p.end.bootstraps == (bootstrap && me == CLIENT && !denied));
    counts->transcripts++;
    si_cipher_wipe(&p.tx);
    si_cipher_wipe(&p.rx);
    end_free(&p.end);
    sotto_acceptor_free(acceptor);
    free(frames.at);
}

static void transcript(struct si_span t, void *user)
{
    play(t, CLIENT, user);
    replace_nothing();
    play(t, SERVER, user);
}

static void transcripts(void **state)
{
    struct counts counts = {0, 0, 0, 0};

    (void)state;
    assert_true(for_each(file.root, "transcripts", transcript, &counts) >= 19);
    print_message("%u transcripts, %u frames; of ours, %u byte for byte\n", counts.transcripts,
                  counts.frames, counts.equal);
    assert_true(counts.transcripts >= 38 && counts.equal >= 111);
}

/* Our own spelling of what the transcripts spell: it reads back as the same. */
static void own_texts(void **state)
{
    struct si_negotiation n = {.pattern = SI_IKPSK0,
                               .curve = SOTTO_CURVE_448,
                               .cipher = SOTTO_CIPHER_CHACHAPOLY,
                               .max_message = 65536},
                          back;
    struct si_hello hello = {65536, 30000}, hello_back;
    struct si_buf out = si_buf(4096);
    const char *refusal = NULL;

    (void)state;
    replace_nothing();
    memcpy(n.epoch, w.epoch, sizeof n.epoch);
    assert_int_equal(si_negotiation_write(&n, &out), SOTTO_OK);
    assert_true(out.len <= SI_NEGOTIATION_MAX);
    assert_int_equal(si_buf_reserve(&out, SI_JSON_PADDING), SOTTO_OK);
    assert_int_equal(si_negotiation_read(file.json, si_span(out.ptr, out.len), &back, &refusal),
                     SOTTO_OK);
    assert_null(refusal);
    assert_int_equal(back.pattern, n.pattern);
    assert_int_equal(back.curve, n.curve);
    assert_int_equal(back.cipher, n.cipher);
    assert_int_equal(back.max_message, n.max_message);
    assert_memory_equal(back.epoch, n.epoch, sizeof n.epoch);
    out.len = 0;
    assert_int_equal(si_hello_write(&hello, "sotto vectors", &out), SOTTO_OK);
    assert_int_equal(si_buf_reserve(&out, SI_JSON_PADDING), SOTTO_OK);
    assert_int_equal(si_hello_read(file.json, si_span(out.ptr, out.len), &hello_back), SOTTO_OK);
    assert_int_equal(hello_back.max_message, hello.max_message);
    assert_int_equal(hello_back.keepalive_ms, hello.keepalive_ms);
    si_buf_free(&out);
}

/* ---- Records (sections 2 and 7) -------------------------------------------------------------- */

static struct si_cipher_state cipher_at(struct si_span c, const char *key_name, const char *cipher,
                                        uint64_t n)
{
    struct si_span key = get_hex(c, key_name);
    struct si_cipher_state cs;
    struct si_cipher_key k;

    assert_int_equal(key.len, sizeof k.bytes);
    memcpy(k.bytes, key.ptr, key.len);
    si_cipher_init(&cs, si_cipher_aead(sotto_cipher_by_name(cipher)));
    si_cipher_set_key(&cs, &k);
    cs.n = n;
    return cs;
}

static void rekey_record(struct si_span c, void *user)
{
    const char *cipher = user;
    uint64_t n = get_uint(c, "nonce");
    struct si_cipher_state tx = cipher_at(c, "key_before", cipher, n);
    struct si_cipher_state rx = cipher_at(c, "key_before", cipher, n);
    struct si_cipher_state now = cipher_at(c, "key", cipher, n + 1);
    struct si_span body = get_hex(c, "body"), wire = get_hex(c, "wire"), found;
    struct si_output out;
    uint8_t *copy = take(wire.len);
    uint8_t after[2][4 + SI_TAG_LEN];

    si_output_init(&out, NULL);
    out.tx = &tx;
    assert_int_equal(si_output_reserve(&out, body.len), SOTTO_OK);
    assert_int_equal(si_output_body(&out, body.ptr, body.len), SOTTO_OK);
    assert_int_equal(si_output_seal(&out), SOTTO_OK);
    assert_hex(out.buf.ptr + out.sent, si_output_waiting(&out), wire);
    si_output_free(&out);
    memcpy(copy, wire.ptr, wire.len);
    assert_int_equal(si_record_open(&rx, copy + 2, wire.len - 2, &found), SOTTO_OK);
    assert_hex(found.ptr, found.len, body);
    assert_int_equal(tx.n, n + 1);
    assert_int_equal(rx.n, n + 1);
    /* and the key that is left is the vector's */
    assert_int_equal(si_cipher_encrypt(&tx, si_span(NULL, 0), (const uint8_t *)"abcd", 4, after[0]),
                     SOTTO_OK);
    assert_int_equal(
        si_cipher_encrypt(&now, si_span(NULL, 0), (const uint8_t *)"abcd", 4, after[1]), SOTTO_OK);
    assert_memory_equal(after[0], after[1], sizeof after[0]);
    si_cipher_wipe(&tx);
    si_cipher_wipe(&rx);
    si_cipher_wipe(&now);
}

static void rekey_list(struct si_span c, void *user)
{
    char cipher[32];

    (void)user;
    (void)snprintf(cipher, sizeof cipher, "%s", get_str(c, "cipher"));
    assert_true(for_each(c, "records", rekey_record, cipher) >= 9);
}

static void large_record(struct si_span c, void *user)
{
    const char *cipher = get_str(c, "cipher");
    uint64_t n = get_uint(c, "nonce");
    size_t body_len = get_uint(c, "body_count"), padding_len = get_uint(c, "padding_count");
    size_t plain_len = 2 + body_len + padding_len, total = 2 + plain_len + SI_TAG_LEN;
    struct si_cipher_state tx = cipher_at(c, "key", cipher, n), rx = cipher_at(c, "key", cipher, n);
    struct si_span end = get_hex(c, "wire_end"), found;
    uint8_t *frame = take(total), *plain = take(plain_len), digest[SI_HASH_LEN_MAX];
    struct si_hash_ctx *ctx = NULL;
    struct si_span part = si_span(frame, total);

    (void)user;
    si_put_be16(plain, (uint16_t)body_len);
    memset(plain + 2, get_hex(c, "body_byte").ptr[0], body_len);
    memset(plain + 2 + body_len, get_hex(c, "padding_byte").ptr[0], padding_len);
    if (padding_len == 0) {
        struct si_output out;

        si_output_init(&out, NULL);
        out.tx = &tx;
        if (body_len > 0) {
            assert_int_equal(si_output_reserve(&out, body_len), SOTTO_OK);
            assert_int_equal(si_output_body(&out, plain + 2, body_len), SOTTO_OK);
            assert_int_equal(si_output_seal(&out), SOTTO_OK);
        } else {
            assert_int_equal(si_output_empty_record(&out), SOTTO_OK);
        }
        assert_int_equal(si_output_waiting(&out), total);
        memcpy(frame, out.buf.ptr + out.sent, total);
        si_output_free(&out);
    } else {
        si_put_be16(frame, (uint16_t)(total - 2));
        assert_int_equal(si_cipher_encrypt(&tx, si_span(NULL, 0), plain, plain_len, frame + 2),
                         SOTTO_OK);
    }
    assert_int_equal(total, get_uint(c, "wire_length"));
    assert_int_equal(si_hash_ctx_new(&ctx, si_hash_by_name(si_span_str("SHA256"))), SOTTO_OK);
    assert_int_equal(si_hash_parts(ctx, &part, 1, digest), SOTTO_OK);
    si_hash_ctx_free(ctx);
    assert_hex(digest, 32, get_hex(c, "wire_sha256"));
    if (total >= end.len)
        assert_memory_equal(frame + total - end.len, end.ptr, end.len);
    assert_int_equal(si_record_open(&rx, frame + 2, total - 2, &found), SOTTO_OK);
    assert_int_equal(found.len, body_len);
    assert_memory_equal(found.ptr, plain + 2, body_len);
    si_cipher_wipe(&tx);
    si_cipher_wipe(&rx);
}

/* Every transport frame of the transcripts, by itself: sealed if it has no padding, and opened. */
static void transcript_record(struct si_span c, void *user)
{
    struct si_span t = *(const struct si_span *)user, body = get_hex(c, "body"), found;
    struct si_span wire = get_hex(c, "wire");
    bool of_client = strcmp(get_str(c, "from"), "client") == 0;
    const char *key = of_client ? "client_to_server_key" : "server_to_client_key";
    struct si_cipher_state tx, rx;
    uint8_t *copy;

    if (strcmp(get_str(c, "kind"), "transport") != 0)
        return;
    tx = cipher_at(t, key, get_str(t, "cipher"), get_uint(c, "nonce"));
    rx = cipher_at(t, key, get_str(t, "cipher"), get_uint(c, "nonce"));
    if (get_hex(c, "padding").len == 0) {
        struct si_output out;

        si_output_init(&out, NULL);
        out.tx = &tx;
        if (body.len > 0) {
            assert_int_equal(si_output_reserve(&out, body.len), SOTTO_OK);
            assert_int_equal(si_output_body(&out, body.ptr, body.len), SOTTO_OK);
            assert_int_equal(si_output_seal(&out), SOTTO_OK);
        } else {
            assert_int_equal(si_output_empty_record(&out), SOTTO_OK);
        }
        assert_hex(out.buf.ptr + out.sent, si_output_waiting(&out), wire);
        si_output_free(&out);
    }
    copy = take(wire.len);
    memcpy(copy, wire.ptr, wire.len);
    assert_int_equal(si_record_open(&rx, copy + 2, wire.len - 2, &found), SOTTO_OK);
    assert_hex(found.ptr, found.len, body);
    si_cipher_wipe(&tx);
    si_cipher_wipe(&rx);
}

static void transcript_records(struct si_span t, void *user)
{
    (void)user;
    (void)for_each(t, "frames", transcript_record, &t);
}

static void plaintext(struct si_span c, void *user)
{
    struct si_span plain = get_hex(c, "plaintext"), body = get_hex(c, "body"), found;
    sotto_err err = si_body_read(plain, &found);

    (void)user;
    if (body.ptr == NULL) {
        assert_int_equal(err, SOTTO_E_PROTOCOL);
    } else {
        assert_int_equal(err, SOTTO_OK);
        assert_hex(found.ptr, found.len, body);
    }
}

static void stream(struct si_span c, void *user)
{
    struct elements bodies = elements_of(c, "bodies"), messages = elements_of(c, "messages");
    uint32_t max = (uint32_t)get_uint(c, "max_message");
    struct si_messages m;
    size_t found = 0;
    sotto_err err = SOTTO_E_AGAIN;

    (void)user;
    memset(&m, 0, sizeof m);
    m.partial = si_buf(SIZE_MAX / 2);
    for (size_t i = 0; i < bodies.count && err == SOTTO_E_AGAIN; i++) {
        struct si_span body = unhex(bodies.at[i]), text;

        si_messages_add(&m, body, body.ptr + body.len);
        while ((err = si_messages_next(&m, NULL, max, &text)) == SOTTO_OK) {
            assert_true(found < messages.count);
            assert_hex(text.ptr, text.len, messages.at[found]);
            found++;
        }
    }
    assert_int_equal(found, messages.count);
    if (expects(c, "ok"))
        assert_int_equal(err, SOTTO_E_AGAIN);
    else
        assert_int_equal(err, SOTTO_E_PROTOCOL);
    si_buf_free(&m.partial);
    free(bodies.at);
    free(messages.at);
}

static void records(void **state)
{
    (void)state;
    assert_true(for_each(file.root, "rekey", rekey_list, NULL) >= 2);
    assert_true(for_each(file.root, "transcripts", transcript_records, NULL) >= 19);
    assert_true(for_each(file.root, "records", large_record, NULL) >= 10);
    assert_true(for_each(negative, "plaintext", plaintext, NULL) >= 11);
    assert_true(for_each(negative, "stream", stream, NULL) >= 14);
}

/* ---- What must be refused, and its controls -------------------------------------------------- */

/* The code of the refusal that OUT is, or NULL. */
static const char *refusal_code(struct si_span out)
{
    struct si_span text;

    if (out.len < 4 || handshake_frame_len(out) != out.len)
        return NULL;
    text = si_span(out.ptr + 2, si_get_be16(out.ptr));
    if (text.len == 0 || si_get_be16(out.ptr + 2 + text.len) != 0)
        return NULL;
    return get_str(raw(text, "error"), "code");
}

/* `accept`: the whole handshake is run under this negotiation, and the first record is taken. */
static void accepted(struct si_span c, struct si_span text, const sotto_acceptor *acceptor)
{
    struct elements found = {NULL, 0, 0};
    struct peer peer;
    struct end server;
    struct bytes b = {NULL, 0, 0};
    char negotiation[1025];
    int64_t now = 0;
    sotto_session *session = NULL;
    enum pattern pattern = pattern_of(text);
    sotto_session_client_options o = world_client_options(
        &w, pattern, curve_of(text, "curve"), sotto_cipher_by_name(get_str(text, "cipher")));

    assert_true(text.len < sizeof negotiation);
    memcpy(negotiation, text.ptr, text.len);
    negotiation[text.len] = '\0';
    assert_int_equal(strlen(negotiation), text.len);
    peer_client(&peer, &o, pattern, negotiation);
    peer_next(&peer, &b);
    assert_int_equal(sotto_session_server_new(acceptor, now, &session), SOTTO_OK);
    end_init(&server, session, &now);
    (void)end_feed(&server, b.ptr, b.len);
    if (server.err != SOTTO_OK || server.out.len == 0)
        fail_msg("%s: not accepted: %s", get_str(c, "why"), sotto_err_name(server.err));
    peer_read(&peer, si_span(server.out.ptr, server.out.len));
    b.len = 0;
    if (is_bootstrap(pattern))
        peer_next(&peer, &b);
    else
        peer_body(&peer, NULL, 0, 0, &b);
    (void)end_feed(&server, b.ptr, b.len);
    assert_int_equal(server.err, SOTTO_OK);
    if (!is_bootstrap(pattern)) {
        assert_int_equal(server.opens, 1);
        assert_int_equal(sotto_session_peer_max_message(session), get_uint(c, "max_message"));
    } else {
        assert_true(server.shut);
    }
    assert_int_equal(sotto_session_curve(session), o.curve);
    assert_int_equal(sotto_session_cipher(session), o.cipher);
    free(found.at);
    end_free(&server);
    peer_free(&peer);
    bytes_free(&b);
}

static void negotiation(struct si_span c, void *user)
{
    sotto_acceptor *const *acceptors = user; /* plain, gated, optional, required */
    struct si_span config = raw(c, "server"), text = get_hex(c, "hex");
    const char *auth = get_str(config, "client_auth");
    const sotto_acceptor *acceptor = get_bool(config, "gated")       ? acceptors[1]
                                     : strcmp(auth, "optional") == 0 ? acceptors[2]
                                     : strcmp(auth, "required") == 0 ? acceptors[3]
                                                                     : acceptors[0];

    /* a refusal is decided on the negotiation, whatever the noise message is */
    for (size_t noise_len = 0; noise_len < 100; noise_len += 49) {
        struct bytes b = {NULL, 0, 0};
        sotto_session *session = NULL;
        struct end server;
        uint8_t noise[100] = {9}, head[2];
        const char *code;
        int64_t now = 0;

        si_put_be16(head, (uint16_t)text.len);
        bytes_add(&b, head, 2);
        bytes_add(&b, text.ptr, text.len);
        si_put_be16(head, (uint16_t)noise_len);
        bytes_add(&b, head, 2);
        bytes_add(&b, noise, noise_len);
        assert_int_equal(sotto_session_server_new(acceptor, now, &session), SOTTO_OK);
        end_init(&server, session, &now);
        (void)end_feed(&server, b.ptr, b.len);
        code = refusal_code(si_span(server.out.ptr, server.out.len));
        if (code == NULL) {
            /* accepted, and then the noise message was none */
            assert_outcome(c, "accept");
            assert_int_not_equal(server.err, SOTTO_OK);
            assert_int_equal(server.out.len, 0);
        } else {
            assert_outcome(c, code);
            assert_true(server.shut);
        }
        assert_nothing_happened(&server);
        end_free(&server);
        bytes_free(&b);
        if (code == NULL && noise_len == 0)
            accepted(c, text, acceptor);
    }
}

static void negotiations(void **state)
{
    sotto_acceptor *acceptors[4];
    sotto_acceptor_options o = world_acceptor_options(&w);

    (void)state;
    o.client_lookup = client_is_friend;
    o.client_auth = SOTTO_CLIENT_AUTH_NONE;
    acceptors[0] = world_acceptor(&o);
    o.gate = 1;
    acceptors[1] = world_acceptor(&o);
    o.gate = 0;
    o.client_auth = SOTTO_CLIENT_AUTH_OPTIONAL;
    acceptors[2] = world_acceptor(&o);
    o.client_auth = SOTTO_CLIENT_AUTH_REQUIRED;
    acceptors[3] = world_acceptor(&o);
    assert_true(for_each(negative, "negotiation", negotiation, acceptors) >= 197);
    for (size_t i = 0; i < 4; i++)
        sotto_acceptor_free(acceptors[i]);
}

static void refusal(struct si_span c, void *user)
{
    struct si_span text = get_hex(c, "hex");

    (void)user;
    for (int pattern = 0; pattern < PATTERNS; pattern++) {
        sotto_session_client_options o =
            world_client_options(&w, (enum pattern)pattern, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
        sotto_session *session = NULL;
        struct end client;
        struct bytes b = {NULL, 0, 0};
        uint8_t head[2];
        int64_t now = 0;
        size_t sent;

        assert_int_equal(sotto_session_client_new(&o, now, &session), SOTTO_OK);
        end_init(&client, session, &now);
        end_work(&client);
        sent = client.out.len;
        si_put_be16(head, (uint16_t)text.len);
        bytes_add(&b, head, 2);
        bytes_add(&b, text.ptr, text.len);
        bytes_add(&b, "\0", 2);
        (void)end_feed(&client, b.ptr, b.len);
        end_eof(&client);
        assert_true(client.over);
        assert_int_equal(client.out.len, sent);
        assert_nothing_happened(&client);
        if (client.err == SOTTO_E_REFUSED) {
            assert_outcome(c, "refusal");
            if (expects(c, "refusal")) {
                assert_string_equal(sotto_session_refusal_code(session), get_str(c, "code"));
                assert_int_equal(sotto_session_refusal_retry_ms(session),
                                 has(c, "retry_after_ms") ? get_uint(c, "retry_after_ms") : 0);
            }
        } else {
            assert_outcome(c, "reject");
            assert_int_equal(client.err, SOTTO_E_PROTOCOL);
            assert_string_equal(sotto_session_refusal_code(session), "");
        }
        end_free(&client);
        bytes_free(&b);
    }
}

static void refusals(void **state)
{
    (void)state;
    assert_true(for_each(negative, "refusal", refusal, NULL) >= 71);
}

static void check_document(struct si_span c, const sotto_bootstrap *b)
{
    struct si_span parsed = raw(c, "parsed"), keys = raw(parsed, "other_keys");
    static const char *const auth[] = {"none", "optional", "required"};

    assert_hex(b->parameters.server_id, SOTTO_SERVER_ID_LEN, get_hex(parsed, "server_id"));
    assert_hex(b->parameters.server_string, b->parameters.server_string_len,
               get_hex(parsed, "server_string_hex"));
    assert_int_equal(b->parameters.salt_index, get_uint(parsed, "salt_index"));
    assert_int_equal(b->parameters.iterations, get_uint(parsed, "iterations"));
    assert_string_equal(auth[b->client_auth], get_str(parsed, "client_auth"));
    assert_int_equal(b->expires_in_s,
                     has(parsed, "expires_in") ? get_uint(parsed, "expires_in") : 0);
    for (int i = 0; i < SOTTO_CURVE_COUNT; i++) {
        struct si_span key = get_hex(keys, sotto_curve_name((sotto_curve)(i + 1)));

        if (key.ptr == NULL) {
            assert_int_equal(b->other_keys[i].curve, 0);
        } else {
            assert_int_equal(b->other_keys[i].curve, i + 1);
            assert_memory_equal(b->other_keys[i].bytes, key.ptr, key.len);
        }
    }
}

/* Given to the function itself, with nothing behind the text but the padding. */
static sotto_err read_document(struct si_span text, const sotto_public_key *shown,
                               sotto_bootstrap *out)
{
    struct si_json *json = NULL;
    struct si_refusal refused;
    uint8_t *copy = take(text.len + SI_JSON_PADDING);
    sotto_err err;

    memcpy(copy, text.ptr, text.len);
    memset(copy + text.len, '}', SI_JSON_PADDING);
    assert_int_equal(si_json_new(&json), SOTTO_OK);
    err = si_document_read(json, si_span(copy, text.len), shown, out, &refused);
    if (err != SOTTO_OK)
        for (size_t i = 0; i < sizeof *out; i++)
            assert_int_equal(((const uint8_t *)out)[i], 0);
    if (err == SOTTO_E_DENIED)
        assert_true(refused.code[0] != '\0');
    si_json_free(json);
    return err;
}

/* Sent to a client whose server has shown its key by XX. */
static sotto_err send_document(struct si_span text, sotto_curve curve, sotto_bootstrap *out)
{
    struct peer peer;
    struct end client;
    struct bytes b = {NULL, 0, 0};
    int64_t now = 0;
    sotto_err err;

    memset(&got, 0, sizeof got);
    peer_meets_client(&peer, &client, &w, &now, XX, curve, SOTTO_CIPHER_AESGCM, NULL);
    client.hook = keep_bootstrap;
    peer_body(&peer, text.ptr, text.len, 0, &b);
    (void)end_feed(&client, b.ptr, b.len);
    assert_true(client.over);
    assert_int_equal(client.bootstraps, client.err == SOTTO_OK);
    err = client.err;
    if (err == SOTTO_E_DENIED)
        assert_true(sotto_session_refusal_code(client.session)[0] != '\0');
    *out = got;
    end_free(&client);
    peer_free(&peer);
    bytes_free(&b);
    return err;
}

static void document(struct si_span c, void *user)
{
    struct si_span context = raw(c, "context"), text = get_hex(c, "hex");
    sotto_curve curve = curve_of(context, "curve");
    struct si_span shown = get_hex(context, "authenticated_key");
    sotto_public_key key = {.curve = curve};
    sotto_bootstrap read;
    sotto_err err;

    (void)user;
    assert_int_equal(shown.len, sotto_curve_key_len(curve));
    memcpy(key.bytes, shown.ptr, shown.len);
    /* a low-order key cannot be shown: the handshake has failed at its Diffie-Hellman
     * (test_noise.c) */
    if (si_public_key_check(&key) == SOTTO_E_DH)
        return;
    err = read_document(text, &key, &read);
    /* in a few cases XX shows a key whose private half nobody has */
    if (sotto_public_key_equal(&key, &w.server_key[curve - 1]))
        assert_int_equal(send_document(text, curve, &read), err);
    if (err == SOTTO_OK) {
        sotto_secrets *secrets = deployment_secrets((size_t)get_uint(context, "salts"));
        uint64_t runs = si_pbkdf2_count();
        sotto_psk psk;

        err = sotto_psk_derive(secrets, curve, &read.parameters, 0, 0, &psk);
        if (err == SOTTO_OK) {
            assert_outcome(c, "accept");
            if (expects(c, "accept"))
                check_document(c, &read);
        } else {
            /* the ranges that are the client's own: found before the costly work */
            assert_int_equal(err, SOTTO_E_PARAMETERS);
            assert_int_equal(si_pbkdf2_count(), runs);
            assert_outcome(c, "reject");
        }
        sotto_secrets_free(secrets);
    } else if (err == SOTTO_E_DENIED) {
        assert_outcome(c, "denied");
    } else {
        assert_outcome(c, "reject");
        assert_true(err == SOTTO_E_PROTOCOL || err == SOTTO_E_DH);
    }
}

static void documents(void **state)
{
    (void)state;
    assert_true(for_each(negative, "document", document, NULL) >= 205);
}

static void hello(struct si_span c, void *user)
{
    struct si_span text = get_hex(c, "hex");
    sotto_session_client_options o =
        world_client_options(&w, NKPSK0, SOTTO_CURVE_25519, SOTTO_CIPHER_AESGCM);
    sotto_session *session = NULL;
    struct peer peer;
    struct end client;
    struct bytes b = {NULL, 0, 0};
    uint8_t *payload = take(2 + text.len);
    int64_t now = 0;

    (void)user;
    assert_int_equal(sotto_session_client_new(&o, now, &session), SOTTO_OK);
    end_init(&client, session, &now);
    end_work(&client);
    peer_server(&peer, &w, NKPSK0, o.curve, o.cipher, si_span(client.out.ptr, client.out.len));
    si_put_be16(payload, (uint16_t)text.len);
    memcpy(payload + 2, text.ptr, text.len);
    peer_handshake(&peer, NULL, 0, si_span(payload, 2 + text.len), &b);
    (void)end_feed(&client, b.ptr, b.len);
    if (client.opens == 1) {
        assert_int_equal(client.err, SOTTO_OK);
        assert_outcome(c, "accept");
        if (expects(c, "accept")) {
            struct si_span parsed = raw(c, "parsed");

            assert_int_equal(sotto_session_peer_max_message(session),
                             get_uint(parsed, "max_message"));
            /* its first record has just left */
            assert_int_equal(sotto_session_deadline(session),
                             now + ms((int64_t)get_uint(parsed, "keepalive_ms")));
        }
    } else {
        assert_outcome(c, "reject");
        assert_int_equal(client.err, SOTTO_E_PROTOCOL);
        assert_true(client.over);
    }
    end_free(&client);
    peer_free(&peer);
    bytes_free(&b);
}

static void hellos(void **state)
{
    (void)state;
    assert_true(for_each(negative, "hello", hello, NULL) >= 88);
}

static void first_frame(struct si_span c, void *user)
{
    struct si_span bytes = get_hex(c, "bytes");
    sotto_session *session = NULL;
    struct end server;
    int64_t now = 0;
    const char *code;

    (void)user;
    for (unsigned split = 0; split < 2; split++) {
        assert_int_equal(sotto_session_server_new(w.plain, now, &session), SOTTO_OK);
        end_init(&server, session, &now);
        if (split == 0)
            (void)end_feed(&server, bytes.ptr, bytes.len);
        else
            for (size_t i = 0; i < bytes.len && !server.over; i++)
                (void)end_feed(&server, bytes.ptr + i, 1);
        code = refusal_code(si_span(server.out.ptr, server.out.len));
        if (code != NULL) {
            assert_outcome(c, "refuse");
            assert_string_equal(code, get_str(c, "code"));
        } else if (server.out.len > 0) {
            assert_outcome(c, "message 2");
            assert_int_equal(server.err, SOTTO_OK);
        } else if (server.over) {
            assert_outcome(c, "close");
            assert_int_not_equal(server.err, SOTTO_OK);
        } else {
            assert_outcome(c, "wait");
            assert_int_equal(server.err, SOTTO_OK);
        }
        assert_nothing_happened(&server);
        end_free(&server);
    }
}

static void first_frames(void **state)
{
    (void)state;
    assert_true(for_each(negative, "first_frame", first_frame, NULL) >= 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_derivation), cmocka_unit_test(transcripts),
        cmocka_unit_test(own_texts),      cmocka_unit_test(records),
        cmocka_unit_test(negotiations),   cmocka_unit_test(refusals),
        cmocka_unit_test(documents),      cmocka_unit_test(hellos),
        cmocka_unit_test(first_frames),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

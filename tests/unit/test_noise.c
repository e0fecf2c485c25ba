/*
 * Handshakes of the Noise layer against the specification (revision 34): every pattern, algorithm
 * and backend, keys that are missing or wrong, altered messages, low-order points.
 */
#include <malloc.h>

#include "noise_support.h"

/* ---- Handshakes ------------------------------------------------------------------------------ */

/* Whether HS knows the other side's static key exactly when it should: RS or nobody's. */
static void assert_remote(const struct si_handshake *hs, const struct si_public_key *rs, size_t len)
{
    const struct si_public_key *found = si_handshake_remote_static(hs);

    if (rs == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_memory_equal(found->bytes, rs->bytes, len);
    }
}

static void assert_transport(struct si_cipher_state *tx, struct si_cipher_state *rx)
{
    uint8_t plain[64], sealed[64 + SI_TAG_LEN], opened[64];

    for (size_t len = 0; len <= sizeof plain; len += 16) {
        uint64_t n = tx->n;

        fill(plain, len, 5);
        assert_int_equal(si_cipher_encrypt(tx, si_span("ad", 2), plain, len, sealed), SOTTO_OK);
        assert_int_equal(si_cipher_decrypt(rx, si_span("ad", 2), sealed, len + SI_TAG_LEN, opened),
                         SOTTO_OK);
        assert_memory_equal(opened, plain, len);
        assert_int_equal(tx->n, n + 1);
        assert_int_equal(rx->n, n + 1);
    }
}

/* One handshake to its end; NAG: with every mistake a caller can make in between. */
static void complete(const struct si_protocol *p, size_t payload_len, bool nag)
{
    struct ends ends;
    struct si_handshake *hs[2];
    struct si_cipher_state tx[2], rx[2];
    uint8_t h[2][SI_HASH_LEN_MAX], first[2][32 + SI_TAG_LEN] = {{0}};
    size_t h_len[2];

    make_ends(&ends, p);
    for (unsigned role = 0; role < 2; role++)
        hs[role] = begin(p, (enum si_role)role, &ends);
    for (unsigned turn = 0; turn < p->pattern.turns; turn++) {
        unsigned me = turn % 2;

        assert_int_equal(si_handshake_action(hs[me]), SOTTO_ACTION_WRITE);
        assert_int_equal(si_handshake_action(hs[!me]), SOTTO_ACTION_READ);
        assert_int_equal(si_handshake_message_len(hs[me], 9), si_handshake_message_len(hs[!me], 9));
        for (unsigned role = 0; role < 2; role++)
            if (static_key_turn(&p->pattern, !role) >= (int)turn)
                assert_remote(hs[role], NULL, 0);
        read_message(hs[!me], write_message(hs[me], payload_len, nag), nag);
    }
    for (unsigned role = 0; role < 2; role++) {
        bool known = static_key_turn(&p->pattern, !role) < (int)p->pattern.turns;

        assert_int_equal(si_handshake_action(hs[role]), SOTTO_ACTION_SPLIT);
        assert_remote(hs[role], known ? &ends.pub[!role] : NULL, p->dh->len);
        if (nag)
            assert_refused_out_of_turn(hs[role]);
        memset(h[role], 0, sizeof h[role]);
        assert_int_equal(si_handshake_split(hs[role], &tx[role], &rx[role], h[role], &h_len[role]),
                         SOTTO_OK);
        assert_int_equal(si_handshake_action(hs[role]), SOTTO_ACTION_DONE);
        assert_refused_out_of_turn(hs[role]);
        assert_remote(hs[role], known ? &ends.pub[!role] : NULL, p->dh->len);
        assert_int_equal(h_len[role], p->hash->len);
        assert_false(is_zero(h[role], h_len[role]));
    }
    assert_memory_equal(h[0], h[1], sizeof h[0]);
    /* the two directions have keys of their own */
    for (unsigned role = 0; role < 2; role++) {
        assert_int_equal(tx[role].n, 0);
        assert_int_equal(rx[role].n, 0);
    }
    for (unsigned role = 0; role < 2; role++) {
        uint8_t zeros[32] = {0};

        assert_int_equal(
            si_cipher_encrypt(&tx[role], si_span(NULL, 0), zeros, sizeof zeros, first[role]),
            SOTTO_OK);
        assert_int_equal(si_cipher_decrypt(&rx[!role], si_span(NULL, 0), first[role],
                                           sizeof first[role], first[role]),
                         SOTTO_OK);
        assert_true(is_zero(first[role], sizeof zeros));
        assert_int_equal(
            si_cipher_encrypt(&tx[role], si_span(NULL, 0), zeros, sizeof zeros, first[role]),
            SOTTO_OK);
        assert_int_equal(
            si_cipher_decrypt(&rx[role], si_span(NULL, 0), first[role], sizeof first[role], result),
            SOTTO_E_AUTH);
        assert_int_equal(si_cipher_decrypt(&rx[!role], si_span(NULL, 0), first[role],
                                           sizeof first[role], result),
                         SOTTO_OK);
    }
    assert_memory_not_equal(first[0], first[1], sizeof first[0]);
    assert_transport(&tx[0], &rx[1]);
    assert_transport(&tx[1], &rx[0]);
    for (unsigned role = 0; role < 2; role++) {
        si_cipher_wipe(&tx[role]);
        si_cipher_wipe(&rx[role]);
        si_handshake_free(hs[role]);
    }
    free_ends(&ends);
}

static void every_algorithm(void **state)
{
    static const size_t sizes[] = {0, 1, 100, SIZE_MAX};
    size_t dhs, aeads, hashes;
    const struct si_dh *const *dh = si_dh_all(&dhs);
    const struct si_aead *const *aead = si_aead_all(&aeads);
    const struct si_hash *const *hash = si_hash_all(&hashes);

    (void)state;
    for (size_t i = 0; i < SI_COUNT(used_patterns); i++)
        for (size_t d = 0; d < dhs; d++)
            for (size_t a = 0; a < aeads; a++)
                for (size_t h = 0; h < hashes; h++)
                    for (size_t s = 0; s < SI_COUNT(sizes); s++) {
                        struct si_protocol p = protocol_of(used_patterns[i], dh[d]->name,
                                                           aead[a]->name, hash[h]->name);

                        p.dh = dh[d];
                        p.aead = aead[a];
                        p.hash = hash[h];
                        complete(&p, sizes[s], sizes[s] != SIZE_MAX && h == 0);
                    }
}

static void every_modifier(void **state)
{
    (void)state;
    for (size_t i = 0; i < si_pattern_count(); i++) {
        struct si_pattern base;

        si_pattern_get(i, &base);
        for (unsigned mask = 0; mask < 2U << base.turns; mask++) {
            char name[64];
            struct si_protocol p;

            pattern_name(name, sizeof name, base.name, mask);
            p = protocol_of(name, "25519", "ChaChaPoly", "BLAKE2s");
            complete(&p, 17, true);
        }
    }
}

static void fallbacks(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(fallback_patterns); i++)
        for (size_t d = 0; d < SI_COUNT(dh_names); d++) {
            struct si_protocol p =
                protocol_of(fallback_patterns[i], dh_names[d], "AESGCM", "SHA512");

            complete(&p, 17, true);
        }
}

/* Exactly 65535 bytes with the largest payload, in each message. */
static void largest_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(used_patterns); i++) {
        struct si_protocol p = protocol_of(used_patterns[i], "25519", "AESGCM", "SHA256");
        struct ends ends;
        struct si_handshake *hs[2];

        make_ends(&ends, &p);
        hs[0] = begin(&p, SI_INITIATOR, &ends);
        hs[1] = begin(&p, SI_RESPONDER, &ends);
        for (unsigned turn = 0; turn < p.pattern.turns; turn++) {
            size_t len = write_message(hs[turn % 2], SIZE_MAX, true);

            assert_int_equal(len, SI_NOISE_MESSAGE_MAX);
            read_message(hs[turn % 2 == 0], len, true);
        }
        si_handshake_free(hs[0]);
        si_handshake_free(hs[1]);
    }
    /* one byte more than a Noise message may have is none */
    {
        struct si_protocol p = protocol_of("XX", "25519", "AESGCM", "SHA256");
        struct ends ends;
        struct si_handshake *hs;
        size_t len;

        make_ends(&ends, &p);
        hs = begin(&p, SI_RESPONDER, &ends);
        assert_int_not_equal(si_handshake_read(hs, si_span(message, SI_NOISE_MESSAGE_MAX + 1),
                                               result, sizeof result, &len),
                             SOTTO_OK);
        si_handshake_free(hs);
    }
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static void assert_no_handshake(const struct si_protocol *p, enum si_role role,
                                const struct si_handshake_keys *keys)
{
    struct si_handshake *hs = NULL;

    assert_int_equal(si_handshake_new(p, role, si_span(NULL, 0), keys, &hs, NULL), SOTTO_E_USAGE);
    assert_null(hs);
}

/* Each key that ROLE has is taken away, and each one that it has not is given. */
static void check_keys_of(const struct si_protocol *p, enum si_role role, const struct ends *ends)
{
    struct si_handshake_keys k = ends->keys[role];

    k.s = k.s == NULL ? &ends->s[role] : NULL;
    k.s_public = k.s_public == NULL ? &ends->pub[role] : NULL;
    assert_no_handshake(p, role, &k);
    k = ends->keys[role];
    k.s = &ends->s[role];
    k.s_public = NULL;
    assert_no_handshake(p, role, &k);
    k.s = NULL;
    k.s_public = &ends->pub[role];
    assert_no_handshake(p, role, &k);
    k = ends->keys[role];
    k.rs = k.rs != NULL ? NULL : &ends->pub[!role];
    assert_no_handshake(p, role, &k);
    for (unsigned n = 0; n < SI_PSKS_MAX; n++) {
        k = ends->keys[role];
        if (k.psk[n] != NULL)
            continue; /* one that is missing may come later */
        k.psk[n] = &ends->psks[n];
        assert_no_handshake(p, role, &k);
    }
    k = ends->keys[role];
    k.fallback_from = NULL;
    if (!p->pattern.responder_e_known)
        k.fallback_re = &ends->pub[!role];
    assert_no_handshake(p, role, &k);
}

static void missing_and_surplus_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < si_pattern_count() + SI_COUNT(fallback_patterns); i++)
        for (unsigned mask = 0; mask < 4; mask++)
            for (unsigned role = 0; role < 2; role++) {
                char name[64];
                struct si_pattern base;
                struct si_protocol p;
                struct ends ends;

                if (i < si_pattern_count()) {
                    si_pattern_get(i, &base);
                    pattern_name(name, sizeof name, base.name, mask);
                } else {
                    (void)snprintf(name, sizeof name, "%s",
                                   fallback_patterns[i - si_pattern_count()]);
                }
                p = protocol_of(name, "25519", "AESGCM", "SHA256");
                make_ends(&ends, &p);
                check_keys_of(&p, (enum si_role)role, &ends);
                si_handshake_free(begin(&p, (enum si_role)role, &ends)); /* the control */
                free_ends(&ends);
            }
}

/* Runs a handshake with what the two hold, until somebody refuses.  Returns the error, and who, by
 * role. */
static sotto_err run_until_error(const struct si_protocol *p,
                                 const struct si_handshake_keys keys[2], struct si_span prologue[2],
                                 unsigned *who)
{
    struct si_handshake *hs[2];
    sotto_err err = SOTTO_OK;

    for (unsigned role = 0; role < 2; role++)
        assert_int_equal(
            si_handshake_new(p, (enum si_role)role, prologue[role], &keys[role], &hs[role], NULL),
            SOTTO_OK);
    *who = 2;
    for (unsigned turn = 0; turn < p->pattern.turns && err == SOTTO_OK; turn++) {
        unsigned me = turn % 2;
        size_t len = 0, got = 0;

        memset(message, 0xa5, 256);
        *who = me;
        err = si_handshake_write(hs[me], si_span("abc", 3), message, sizeof message, &len);
        if (err != SOTTO_OK) {
            assert_true(is_zero(message, si_handshake_message_len(hs[me], 3)));
            break;
        }
        *who = !me;
        memset(result, 0xa5, 3);
        err = si_handshake_read(hs[!me], si_span(message, len), result, sizeof result, &got);
        if (err != SOTTO_OK) {
            assert_true(is_zero(result, 3));
            /* the message that carried a static key did not authenticate */
            if (static_key_turn(&p->pattern, me) >= (int)turn)
                assert_null(si_handshake_remote_static(hs[!me]));
        }
    }
    if (err != SOTTO_OK) {
        size_t len = 0;
        struct si_cipher_state tx, rx;
        uint8_t h[SI_HASH_LEN_MAX];
        struct si_handshake *failed = hs[*who];

        assert_int_equal(si_handshake_action(failed), SOTTO_ACTION_FAILED);
        assert_int_equal(si_handshake_message_len(failed, 0), 0);
        assert_int_not_equal(
            si_handshake_write(failed, si_span(NULL, 0), message, sizeof message, &len), SOTTO_OK);
        assert_int_not_equal(
            si_handshake_read(failed, si_span(message, 200), result, sizeof result, &len),
            SOTTO_OK);
        assert_int_not_equal(si_handshake_split(failed, &tx, &rx, h, &len), SOTTO_OK);
        assert_int_equal(si_handshake_action(failed), SOTTO_ACTION_FAILED);
    }
    si_handshake_free(hs[0]);
    si_handshake_free(hs[1]);
    return err;
}

static void wrong_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(used_patterns); i++)
        for (size_t d = 0; d < SI_COUNT(dh_names); d++) {
            struct si_protocol p = protocol_of(used_patterns[i], dh_names[d], "AESGCM", "SHA512");
            struct ends ends, others;
            struct si_handshake_keys keys[2];
            struct si_span prologue[2] = {si_span("p", 1), si_span("p", 1)};
            unsigned who;

            make_ends(&ends, &p);
            make_ends(&others, &p);
            memcpy(keys, ends.keys, sizeof keys);
            assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_OK);
            prologue[1] = si_span("q", 1);
            assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
            prologue[1] = si_span("p\0", 2);
            assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
            prologue[1] = si_span(NULL, 0);
            assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
            prologue[1] = prologue[0];
            for (unsigned bit = 0; keys[0].psk[0] != NULL && bit < 8 * SOTTO_PSK_LEN; bit += 37) {
                sotto_psk psk = ends.psks[0];

                psk.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
                keys[0].psk[0] = &psk;
                assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
                assert_int_equal(who, SI_RESPONDER); /* psk0: message 1 already */
                keys[0].psk[0] = &ends.psks[0];
            }
            if (keys[0].rs != NULL) {
                keys[0].rs = &others.pub[1];
                assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
                assert_int_equal(who, SI_RESPONDER);
                keys[0].rs = &others.pub[0];
                assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
                keys[0].rs = ends.keys[0].rs;
            }
            for (unsigned role = 0; role < 2; role++) {
                if (keys[role].s == NULL)
                    continue;
                keys[role].s_public = &others.pub[role]; /* a public key of somebody else */
                assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
                keys[role].s_public = ends.keys[role].s_public;
                keys[role].s = &others.s[role];
                assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
                keys[role].s = ends.keys[role].s;
            }
        }
}

/* Each PSK counts at its position. */
static void swapped_psks(void **state)
{
    struct si_protocol p = protocol_of("XXpsk0+psk3", "25519", "ChaChaPoly", "BLAKE2b");
    struct ends ends;
    struct si_handshake_keys keys[2];
    struct si_span prologue[2] = {si_span(NULL, 0), si_span(NULL, 0)};
    sotto_psk other;
    unsigned who;

    (void)state;
    make_ends(&ends, &p);
    memcpy(keys, ends.keys, sizeof keys);
    assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_OK);
    keys[1].psk[0] = &ends.psks[3];
    keys[1].psk[3] = &ends.psks[0];
    assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
    assert_int_equal(who, SI_RESPONDER);
    keys[1].psk[0] = &ends.psks[0];
    keys[1].psk[3] = &ends.psks[3];
    assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_OK);
    other = ends.psks[3];
    other.bytes[31] ^= 1;
    keys[1].psk[3] = &other;
    assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_AUTH);
    assert_int_equal(who, SI_RESPONDER); /* psk3: in message 3 */
}

/* How `message` of LEN bytes is altered: one bit of byte AT, or cut, or longer by a byte. */
static size_t alter(size_t len, size_t at)
{
    if (at < len) {
        message[at] ^= (uint8_t)(1 << at % 8);
        return len;
    }
    if (at < 2 * len)
        return at - len;
    message[len] = 0;
    return len + 1;
}

/* One handshake whose message VICTIM is altered at AT.  *LEN is that message's length. */
static void run_altered(const struct si_protocol *p, unsigned victim, size_t at, size_t *victim_len)
{
    struct si_handshake *hs[2];
    struct ends ends;
    sotto_err err = SOTTO_OK;

    make_ends(&ends, p);
    hs[0] = begin(p, SI_INITIATOR, &ends);
    hs[1] = begin(p, SI_RESPONDER, &ends);
    for (unsigned turn = 0; turn < p->pattern.turns && err == SOTTO_OK; turn++) {
        struct si_handshake *to = hs[turn % 2 == 0];
        size_t len = write_message(hs[turn % 2], 4, false), got = 99;

        if (turn == victim) {
            *victim_len = len;
            len = alter(len, at);
        }
        memset(result, 0xa5, 8);
        err = si_handshake_read(to, si_span(message, len), result, sizeof result, &got);
        if (err == SOTTO_OK)
            continue;
        assert_true(err == SOTTO_E_AUTH || err == SOTTO_E_DH);
        assert_int_equal(si_handshake_action(to), SOTTO_ACTION_FAILED);
        for (size_t k = 0; k < 4; k++)
            assert_true(result[k] == 0 || result[k] == 0xa5);
        if (static_key_turn(&p->pattern, turn % 2) >= (int)turn)
            assert_null(si_handshake_remote_static(to));
    }
    /* In clear it is noticed with the next message that is encrypted. */
    if (err == SOTTO_OK)
        fail_msg("%s message %u, change %zu was not noticed", p->name, victim + 1, at);
    si_handshake_free(hs[0]);
    si_handshake_free(hs[1]);
    free_ends(&ends);
}

static void alter_all_of(const char *pattern)
{
    struct si_protocol p = protocol_of(pattern, "25519", "AESGCM", "SHA256");

    for (unsigned victim = 0; victim < p.pattern.turns; victim++)
        for (size_t at = 0, len = 1; at < 2 * len + 1; at++)
            run_altered(&p, victim, at, &len);
}

/* Every byte of every message, one bit each; and every shorter length, and one byte more. */
static void altered_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < si_pattern_count(); i++) {
        struct si_pattern base;

        si_pattern_get(i, &base);
        alter_all_of(base.name);
    }
    for (size_t i = 0; i < SI_COUNT(fallback_patterns); i++)
        alter_all_of(fallback_patterns[i]);
    alter_all_of("XXpsk0");
    alter_all_of("NKpsk0");
    alter_all_of("IKpsk0");
}

/* ---- Low-order points ------------------------------------------------------------------------ */

/* All public keys of X25519 and X448 whose Diffie-Hellman with any private key is all zero. */
static const char *const low_25519[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
};
static const char *const low_448[] = {
    "0000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000",
    "fefffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffff"
    "ffffffffffffffffffffffffffffffffffffffffffffffff",
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffff"
    "ffffffffffffffffffffffffffffffffffffffffffffffff",
    "00000000000000000000000000000000000000000000000000000000ffffffff"
    "ffffffffffffffffffffffffffffffffffffffffffffffff",
};

/* A DH whose fresh key pairs are what `fixed` says: the private key real, the public key a lie if
 * there is one. */
static const struct si_private_key *fixed_private; /* NULL: a fresh one */
static const struct si_public_key *fixed_lie;      /* NULL: the true one */

static sotto_err fixed_generate(const struct si_dh *dh, struct si_private_key *priv,
                                struct si_public_key *pub)
{
    sotto_err err = SOTTO_OK;

    memset(pub, 0, sizeof *pub);
    if (fixed_private != NULL) {
        *priv = *fixed_private;
        err = dh->derive_public(pub, priv);
    } else {
        err = si_dh_generate(dh, priv, pub);
    }
    if (fixed_lie != NULL)
        *pub = *fixed_lie;
    return err;
}

/* Which DH of the side that is lied to meets the liar's key first: it must fail there. */
static void low_order_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(used_patterns); i++)
        for (size_t d = 0; d < SI_COUNT(dh_names); d++) {
            struct si_protocol honest =
                protocol_of(used_patterns[i], dh_names[d], "AESGCM", d == 0 ? "SHA256" : "SHA512");
            const char *const *points = d == 0 ? low_25519 : low_448;
            size_t count = d == 0 ? SI_COUNT(low_25519) : SI_COUNT(low_448);
            struct si_dh liars_dh = *honest.dh;
            struct ends ends;

            liars_dh.generate = fixed_generate;
            fixed_private = NULL;
            make_ends(&ends, &honest);
            for (size_t k = 0; k < count; k++) {
                struct si_public_key point = {{0}};
                struct si_span prologue[2] = {si_span(NULL, 0), si_span(NULL, 0)};

                assert_int_equal(si_unhex(point.bytes, honest.dh->len, si_span_str(points[k])),
                                 SOTTO_OK);
                for (unsigned liar = 0; liar < 2; liar++) {
                    struct si_handshake_keys keys[2];
                    struct si_protocol p = honest;
                    unsigned who = 2;

                    memcpy(keys, ends.keys, sizeof keys);
                    /* its ephemeral key: both ends use the lying DH, the honest one with nothing to
                     * lie about, since the handshake of the other role is begun and driven in this
                     * order only */
                    {
                        struct si_protocol lying = honest;
                        struct si_handshake *hs[2];
                        sotto_err err = SOTTO_OK;

                        lying.dh = &liars_dh;
                        for (unsigned role = 0; role < 2; role++)
                            assert_int_equal(si_handshake_new(role == liar ? &lying : &honest,
                                                              (enum si_role)role, prologue[role],
                                                              &keys[role], &hs[role], NULL),
                                             SOTTO_OK);
                        fixed_lie = &point;
                        for (unsigned t = 0; t < p.pattern.turns && err == SOTTO_OK; t++) {
                            size_t len = 0, got = 0;

                            who = t % 2;
                            err = si_handshake_write(hs[who], si_span(NULL, 0), message,
                                                     sizeof message, &len);
                            if (err != SOTTO_OK)
                                break;
                            who = !who;
                            err = si_handshake_read(hs[who], si_span(message, len), result,
                                                    sizeof result, &got);
                        }
                        fixed_lie = NULL;
                        assert_int_equal(err, SOTTO_E_DH);
                        assert_int_equal(who, !liar);
                        assert_int_equal(si_handshake_action(hs[who]), SOTTO_ACTION_FAILED);
                        si_handshake_free(hs[0]);
                        si_handshake_free(hs[1]);
                    }
                    /* its static key */
                    if (keys[liar].s == NULL)
                        continue;
                    keys[liar].s_public = &point;
                    if (keys[!liar].rs != NULL)
                        keys[!liar].rs = &point;
                    assert_int_equal(run_until_error(&p, keys, prologue, &who), SOTTO_E_DH);
                    assert_int_equal(who, !liar);
                }
            }
        }
}

/* ---- Secrets --------------------------------------------------------------------------------- */

/* Is the secret anywhere in the memory of HS? */
static bool holds(const struct si_handshake *hs, const void *secret, size_t len)
{
    return memmem(hs, malloc_usable_size((void *)(uintptr_t)hs), secret, len) != NULL;
}

/* The responder of XXpsk3 whose third message is forged, or not: afterwards it is split.  Static
 * key, ephemeral key and a PSK that is yet to come are there before, and not behind. */
static void check_wiped(bool forged)
{
    struct si_protocol p = protocol_of("XXpsk3", "25519", "AESGCM", "SHA256");
    struct si_dh known_dh = *p.dh;
    struct si_private_key e;
    struct si_handshake *hs[2];
    struct si_cipher_state tx, rx;
    struct ends ends;
    uint8_t h[SI_HASH_LEN_MAX];
    size_t len;

    make_ends(&ends, &p);
    fixed_private = &e;
    fill(e.bytes, sizeof e.bytes, 77);
    known_dh.generate = fixed_generate;
    hs[0] = begin(&p, SI_INITIATOR, &ends);
    p.dh = &known_dh;
    hs[1] = begin(&p, SI_RESPONDER, &ends);
    for (unsigned turn = 0; turn < 2; turn++)
        read_message(hs[turn == 0], write_message(hs[turn], 4, false), false);
    len = write_message(hs[0], 4, false);
    assert_true(holds(hs[1], ends.s[1].bytes, 32) && holds(hs[1], e.bytes, 32) &&
                holds(hs[1], ends.psks[3].bytes, 32));
    if (forged) {
        message[len - 1] ^= 1;
        assert_int_equal(
            si_handshake_read(hs[1], si_span(message, len), result, sizeof result, &len),
            SOTTO_E_AUTH);
    } else {
        read_message(hs[1], len, false);
        assert_int_equal(si_handshake_split(hs[1], &tx, &rx, h, &len), SOTTO_OK);
        si_cipher_wipe(&tx);
        si_cipher_wipe(&rx);
    }
    assert_false(holds(hs[1], ends.s[1].bytes, 32));
    assert_false(holds(hs[1], e.bytes, 32));
    assert_false(holds(hs[1], ends.psks[3].bytes, 32));
    si_handshake_free(hs[0]);
    si_handshake_free(hs[1]);
    fixed_private = NULL;
}

static void secrets_are_wiped(void **state)
{
    (void)state;
    check_wiped(true);
    check_wiped(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm),
        cmocka_unit_test(every_modifier),
        cmocka_unit_test(fallbacks),
        cmocka_unit_test(largest_messages),
        cmocka_unit_test(missing_and_surplus_keys),
        cmocka_unit_test(wrong_keys),
        cmocka_unit_test(swapped_psks),
        cmocka_unit_test(altered_messages),
        cmocka_unit_test(low_order_points),
        cmocka_unit_test(secrets_are_wiped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Diffie-Hellman, authenticated encryption, random bytes and the choice of algorithms.  Every
 * backend passes the same vectors.
 */
#include "crypto_test.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- The system's generator, which a test can break ------------------------------------------ */

static bool entropy_is_gone;

int getentropy(void *out, size_t len)
{
    if (entropy_is_gone || len > 256) {
        errno = EIO;
        return -1;
    }
    for (size_t done = 0; done < len;) {
        long n = syscall(SYS_getrandom, (uint8_t *)out + done, len - done, 0);

        if (n < 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

static void random_bytes_differ(void **state)
{
    uint8_t a[1000] = {0}, b[1000] = {0};
    size_t differ = 0, tail = 0;

    (void)state;
    assert_ok(si_random(a, sizeof a));
    assert_ok(si_random(b, sizeof b));
    for (size_t i = 0; i < sizeof a; i++)
        differ += a[i] != b[i];
    assert_true(differ > 900);

    /* all of it, also the rest beyond a multiple of 256 */
    for (size_t i = 768; i < sizeof a; i++)
        tail += a[i] != 0;
    assert_true(tail > 200);
    assert_ok(si_random(a, 0));
}

static void random_stays_below_its_bound(void **state)
{
    static const uint32_t bounds[] = {1, 2, 3, 100, UINT32_C(0x80000001), UINT32_MAX};
    bool seen[3] = {false, false, false};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(bounds); i++) {
        for (int j = 0; j < 1000; j++)
            assert_true(si_random_below(bounds[i]) < bounds[i]);
    }
    for (int j = 0; j < 1000; j++)
        seen[si_random_below(3)] = true;
    assert_true(seen[0] && seen[1] && seen[2]);
}

static void no_random_bytes_is_an_error(void **state)
{
    uint8_t bytes[300];
    size_t count;
    const struct si_dh *const *dhs = si_dh_all(&count);

    (void)state;
    entropy_is_gone = true;
    memset(bytes, 0xaa, sizeof bytes);
    assert_err(si_random(bytes, sizeof bytes), SOTTO_E_RANDOM);
    assert_zero(bytes, sizeof bytes);
    assert_int_equal(si_random_below(10), 0);
    for (size_t i = 0; i < count; i++) {
        struct si_private_key priv;
        struct si_public_key pub;
        sotto_keypair *keypair = (sotto_keypair *)&priv;

        memset(&priv, 0xaa, sizeof priv);
        memset(&pub, 0xaa, sizeof pub);
        assert_err(dhs[i]->generate(dhs[i], &priv, &pub), SOTTO_E_RANDOM);
        assert_zero(&priv, sizeof priv);
        assert_zero(&pub, sizeof pub);
        assert_err(sotto_keypair_generate(sotto_curve_by_name(dhs[i]->name), &keypair),
                   SOTTO_E_RANDOM);
        assert_null(keypair);
    }
    entropy_is_gone = false;
}

/* ---- Diffie-Hellman -------------------------------------------------------------------------- */

static const struct dh_vector {
    const char *dh, *priv, *pub, *shared;
} dh_vectors[] = {
    /* RFC 7748 section 5.2 */
    {"25519", "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
     "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
     "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
    {"25519", "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
     "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
     "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    {"448",
     "3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121700a779c984c24f8cdd78fbff44943eba368"
     "f54b29259a4f1c600ad3",
     "06fce640fa3487bfda5f6cf2d5263f8aad88334cbd07437f020f08f9814dc031ddbdc38c19c6da2583fa5429db94"
     "ada18aa7a7fb4ef8a086",
     "ce3e4ff95a60dc6697da1db1d85e6afbdf79b50a2412d7546d5f239fe14fbaadeb445fc66a01b0779d9822396111"
     "1e21766282f73dd96b6f"},
    {"448",
     "203d494428b8399352665ddca42f9de8fef600908e0d461cb021f8c538345dd77c3e4806e25f46d3315c44e0a5b4"
     "371282dd2c8d5be3095f",
     "0fbcc2f993cd56d3305b0b7d9e55d4c1a8fb5dbb52f8e9a1e9b6201b165d015894e56c4d3570bee52fe205e28a78"
     "b91cdfbde71ce8d157db",
     "884a02576239ff7a2f2f63b2db6a9ff37047ac13568e1e30fe63c4a7ad1b3ee3a5700df34321d62077e63633c575"
     "c1c954514e99da7c179d"},
};

/* RFC 7748 section 6 */
static const struct {
    const char *dh, *alice_priv, *alice_pub, *bob_priv, *bob_pub, *shared;
} dh_pairs[] = {
    {"25519", "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
     "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
     "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
     "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
     "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
    {"448",
     "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127a"
     "b1d9ac2d8c0a598726b",
     "9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120"
     "d53177f80e532c41fa0",
     "1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d6927c120bb5ee8972b0d3e21374c9c921b09d"
     "1b0366f10b65173992d",
     "3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dcb57aec3"
     "dae07bdc1c67bf33609",
     "07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56fd2464c335543936521c24403085d"
     "59a449a5037514a879d"},
};

/* Call CHECK for every backend of that name. */
static void for_each_dh(const char *name, void (*check)(const struct si_dh *, const void *),
                        const void *vector)
{
    size_t count, found = 0;
    const struct si_dh *const *dhs = si_dh_all(&count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(dhs[i]->name, name) == 0) {
            check(dhs[i], vector);
            found++;
        }
    }
    assert_true(found > 0);
}

static void check_dh_vector(const struct si_dh *dh, const void *arg)
{
    const struct dh_vector *v = arg;
    struct si_private_key priv = {{0}};
    struct si_public_key pub = {{0}};
    struct si_shared_secret shared;

    assert_int_equal(from_hex(priv.bytes, sizeof priv.bytes, v->priv), dh->len);
    assert_int_equal(from_hex(pub.bytes, sizeof pub.bytes, v->pub), dh->len);
    assert_ok(dh->exchange(&shared, &priv, &pub));
    assert_hex(shared.bytes, dh->len, v->shared);
}

static void dh_known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(dh_vectors); i++)
        for_each_dh(dh_vectors[i].dh, check_dh_vector, &dh_vectors[i]);
}

static void check_half(const struct si_dh *dh, const char *own_priv, const char *own_pub,
                       const char *other_pub, const char *expected)
{
    struct si_private_key priv = {{0}};
    struct si_public_key pub, other = {{0}};
    struct si_shared_secret shared;

    assert_int_equal(from_hex(priv.bytes, sizeof priv.bytes, own_priv), dh->len);
    assert_int_equal(from_hex(other.bytes, sizeof other.bytes, other_pub), dh->len);
    memset(&pub, 0xaa, sizeof pub);
    assert_ok(dh->derive_public(&pub, &priv));
    assert_hex(pub.bytes, dh->len, own_pub);
    assert_zero(pub.bytes + dh->len, sizeof pub.bytes - dh->len);
    assert_ok(dh->exchange(&shared, &priv, &other));
    assert_hex(shared.bytes, dh->len, expected);
}

static void dh_pairs_agree(void **state)
{
    size_t count, checks = 0;
    const struct si_dh *const *dhs = si_dh_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < SI_COUNT(dh_pairs); j++) {
            if (strcmp(dhs[i]->name, dh_pairs[j].dh) != 0)
                continue;
            check_half(dhs[i], dh_pairs[j].alice_priv, dh_pairs[j].alice_pub, dh_pairs[j].bob_pub,
                       dh_pairs[j].shared);
            check_half(dhs[i], dh_pairs[j].bob_priv, dh_pairs[j].bob_pub, dh_pairs[j].alice_pub,
                       dh_pairs[j].shared);
            checks++;
        }
    }
    assert_true(checks >= count);
}

/* RFC 7748 section 5.2: k and u start as the base point, then k, u = X(k, u), k. */
static const struct {
    const char *dh;
    uint8_t base;
    const char *once, *thousand_times;
} dh_iterations[] = {
    {"25519", 9, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
     "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"},
    {"448", 5,
     "3f482c8a9f19b01e6c46ee9711d9dc14fd4bf67af30765c2ae2b846a4d23a8cd0db897086239492caf350b51f8338"
     "68b9bc2b3bca9cf4113",
     "aa3b4749d55b9daf1e5b00288826c467274ce3ebbdd5c17b975e09d4af6c67cf10d087202db88286e2b79fceea3ec"
     "353ef54faa26e219f38"},
};

static void dh_iterated(void **state)
{
    size_t count;
    const struct si_dh *const *dhs = si_dh_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        size_t row = strcmp(dhs[i]->name, "448") == 0;
        struct si_private_key k = {{dh_iterations[row].base}};
        struct si_public_key u = {{dh_iterations[row].base}};

        assert_string_equal(dhs[i]->name, dh_iterations[row].dh);
        for (int round = 1; round <= 1000; round++) {
            struct si_shared_secret next;

            assert_ok(dhs[i]->exchange(&next, &k, &u));
            memcpy(u.bytes, k.bytes, sizeof u.bytes);
            memcpy(k.bytes, next.bytes, sizeof k.bytes);
            if (round == 1)
                assert_hex(k.bytes, dhs[i]->len, dh_iterations[row].once);
        }
        assert_hex(k.bytes, dhs[i]->len, dh_iterations[row].thousand_times);
    }
}

/*
 * Every encoding of every point of low order: orders 1, 2, 4 (and 8 on 25519) of curve and twist,
 * and the same numbers not reduced.  On 25519 the top bit counts for nothing, so each one comes
 * twice.
 */
static const struct low_order_point {
    const char *dh, *pub;
} low_order_points[] = {
    {"25519", "0000000000000000000000000000000000000000000000000000000000000000"},
    {"25519", "0100000000000000000000000000000000000000000000000000000000000000"},
    {"25519", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"},
    {"25519", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"},
    {"25519", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
    {"25519", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
    {"25519", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
    {"448", "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "00000000000000000000000000"},
    {"448", "01000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "00000000000000000000000000"},
    {"448", "fefffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffffffffffffffffffffffff"
            "ffffffffffffffffffffffffff"},
    {"448", "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffffffffffffffffffffffff"
            "ffffffffffffffffffffffffff"},
    {"448", "00000000000000000000000000000000000000000000000000000000ffffffffffffffffffffffffffffff"
            "ffffffffffffffffffffffffff"},
};

static void check_low_order(const struct si_dh *dh, const void *arg)
{
    const struct low_order_point *v = arg;
    struct si_public_key pub = {{0}};

    assert_int_equal(from_hex(pub.bytes, sizeof pub.bytes, v->pub), dh->len);
    for (int top_bit = 0; top_bit < (strcmp(dh->name, "25519") == 0 ? 2 : 1); top_bit++) {
        sotto_public_key key = {.curve = sotto_curve_by_name(dh->name)};

        if (top_bit)
            pub.bytes[31] |= 0x80;
        for (int i = 0; i < 4; i++) {
            struct si_private_key priv;
            struct si_public_key unused;
            struct si_shared_secret shared;

            assert_ok(dh->generate(dh, &priv, &unused));
            memset(&shared, 0xaa, sizeof shared);
            assert_err(dh->exchange(&shared, &priv, &pub), SOTTO_E_DH);
            assert_zero(shared.bytes, dh->len);
        }
        memcpy(key.bytes, pub.bytes, sizeof key.bytes);
        assert_err(si_public_key_check(&key), SOTTO_E_DH);
        assert_no_openssl_errors();
    }
}

static void low_order_points_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(low_order_points); i++)
        for_each_dh(low_order_points[i].dh, check_low_order, &low_order_points[i]);
}

static void other_public_keys_pass_the_check(void **state)
{
    static const sotto_curve curves[] = {SOTTO_CURVE_25519, SOTTO_CURVE_448};
    sotto_public_key key = {.curve = (sotto_curve)3};

    (void)state;
    assert_err(si_public_key_check(&key), SOTTO_E_KEY);
    for (size_t i = 0; i < SI_COUNT(curves); i++) {
        /* u = 2 to 33: points of the curve and of its twist */
        for (uint8_t u = 2; u < 34; u++) {
            key = (sotto_public_key){curves[i], {u}};
            assert_ok(si_public_key_check(&key));
        }
    }
}

static void generated_pairs_agree(void **state)
{
    size_t count;
    const struct si_dh *const *dhs = si_dh_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_private_key a, b;
        struct si_public_key pub_a, pub_b;
        struct si_shared_secret ab, ba;

        assert_ok(dhs[i]->generate(dhs[i], &a, &pub_a));
        assert_ok(dhs[i]->generate(dhs[i], &b, &pub_b));
        assert_memory_not_equal(a.bytes, b.bytes, dhs[i]->len);
        assert_memory_not_equal(pub_a.bytes, pub_b.bytes, dhs[i]->len);
        assert_ok(dhs[i]->exchange(&ab, &a, &pub_b));
        assert_ok(dhs[i]->exchange(&ba, &b, &pub_a));
        assert_memory_equal(ab.bytes, ba.bytes, dhs[i]->len);
        assert_zero(pub_a.bytes + dhs[i]->len, sizeof pub_a.bytes - dhs[i]->len);
    }
}

/* Public keys that are all ones up to one byte: nearly all of them above the field's prime. */
static struct si_public_key large_key(size_t len, unsigned i)
{
    struct si_public_key pub = {{0}};

    memset(pub.bytes, 0xff, len);
    pub.bytes[i % len] = (uint8_t)(0xff - i);
    return pub;
}

static void check_same(const struct si_dh *a, const struct si_dh *b, unsigned i)
{
    struct si_private_key priv;
    struct si_public_key pub_a, pub_b, other;
    struct si_shared_secret shared_a, shared_b;

    assert_ok(si_random(priv.bytes, a->len));
    assert_ok(a->derive_public(&pub_a, &priv));
    assert_ok(b->derive_public(&pub_b, &priv));
    assert_memory_equal(pub_a.bytes, pub_b.bytes, sizeof pub_a.bytes);

    /* Every second one is on the curve's twist, and many are not reduced. */
    other = large_key(a->len, i);
    if (i % 2 == 0)
        assert_ok(si_random(other.bytes, a->len));
    assert_ok(a->exchange(&shared_a, &priv, &other));
    assert_ok(b->exchange(&shared_b, &priv, &other));
    assert_memory_equal(shared_a.bytes, shared_b.bytes, a->len);
}

static void backends_of_a_curve_agree(void **state)
{
    size_t count;
    const struct si_dh *const *dhs = si_dh_all(&count);

    (void)state;
    for (size_t a = 0; a < count; a++) {
        for (size_t b = a + 1; b < count; b++) {
            for (unsigned i = 0; i < 120 && strcmp(dhs[a]->name, dhs[b]->name) == 0; i++)
                check_same(dhs[a], dhs[b], i);
        }
    }
}

/* ---- Authenticated encryption ---------------------------------------------------------------- */

enum { TEXT_MAX = 512 };

static const struct aead_vector {
    const char *aead, *key;
    uint64_t n;
    const char *ad, *text, *sealed;
} aead_vectors[] = {
    /* RFC 8439 appendix A.5: its nonce has the four zero bytes of Noise in front */
    {"ChaChaPoly", "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
     UINT64_C(0x0807060504030201), "f33388860000000000004e91",
     "496e7465726e65742d4472616674732061726520647261667420646f63756d656e74732076616c696420666f72206"
     "1206d6178696d756d206f6620736978206d6f6e74687320616e64206d617920626520757064617465642c20726570"
     "6c616365642c206f72206f62736f6c65746564206279206f7468657220646f63756d656e747320617420616e79207"
     "4696d652e20497420697320696e617070726f70726961746520746f2075736520496e7465726e65742d4472616674"
     "73206173207265666572656e6365206d6174657269616c206f7220746f2063697465207468656d206f74686572207"
     "468616e206173202fe2809c776f726b20696e2070726f67726573732e2fe2809d",
     "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d2"
     "6b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff"
     "37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b521"
     "6cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b42"
     "2273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094f"
     "a68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea185"
     "1f38"},
    /* McGrew and Viega, The Galois/Counter Mode of Operation, test cases 13 and 14 */
    {"AESGCM", "0000000000000000000000000000000000000000000000000000000000000000", 0, "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {"AESGCM", "0000000000000000000000000000000000000000000000000000000000000000", 0, "",
     "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    /* Nonce layout, Noise 12.3 and 12.4.  Key 00..1f, ad "sotto", text "nonce"; made with another
     * library from the explicit 12 bytes. */
    {"AESGCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0, "736f74746f",
     "6e6f6e6365", "60d3dbbdd03d84c494cac93a4bbf896b5501ab1ddd"},
    {"AESGCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 1, "736f74746f",
     "6e6f6e6365", "7bb9d19f21550d042217bff939ab837d241d31813c"},
    {"AESGCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 255,
     "736f74746f", "6e6f6e6365", "c2f00b27a26fee1ef1daa292b39e9494b7c889dc4a"},
    {"AESGCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 256,
     "736f74746f", "6e6f6e6365", "4e831b586f0a8cbe24a2b3a100a20f3e6f970496ce"},
    {"AESGCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 65536,
     "736f74746f", "6e6f6e6365", "bd61ceb238ba337fc789741d0b31cac18007ecfc9f"},
    {"AESGCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     UINT64_C(0x100000000), "736f74746f", "6e6f6e6365",
     "5f640a1e54febe51069dd7e6e192ac15435f5a30c6"},
    {"AESGCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", UINT64_MAX,
     "736f74746f", "6e6f6e6365", "6c6e093fe2b641bbd3811b8c22f319017538183574"},
    {"AESGCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0, "", "",
     "f05d76ae4ab99fe5a6f69b3148c2363d"},
    {"ChaChaPoly", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0,
     "736f74746f", "6e6f6e6365", "76d72c52c8d1bec3e91a6e876fcd1acea7f8377b27"},
    {"ChaChaPoly", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 1,
     "736f74746f", "6e6f6e6365", "f1389d3cd077ed6eb026c4d6186c215aa333970d81"},
    {"ChaChaPoly", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 255,
     "736f74746f", "6e6f6e6365", "615e9ea515c3c48dafd988edee7ec6ad21dc68e2b7"},
    {"ChaChaPoly", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 256,
     "736f74746f", "6e6f6e6365", "92ee971a908371e725064e0a4fdfdb5a3eab1b6fd6"},
    {"ChaChaPoly", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 65536,
     "736f74746f", "6e6f6e6365", "466aa4990272e09d7749db18c905a12598b47067a7"},
    {"ChaChaPoly", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     UINT64_C(0x100000000), "736f74746f", "6e6f6e6365",
     "3d1f6f156cd1a3bb8069730392f49ca5740596d185"},
    {"ChaChaPoly", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", UINT64_MAX,
     "736f74746f", "6e6f6e6365", "3eec3b20c7ad5117cca8cff2a8286c09b4cc0c7d5b"},
    {"ChaChaPoly", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0, "", "",
     "10324f800a160bd9a1794255be7ec29d"},
};

struct sample {
    struct si_aead_key *key;
    uint8_t ad[TEXT_MAX], text[TEXT_MAX], sealed[TEXT_MAX];
    size_t ad_len, text_len, sealed_len;
};

static void sample_init(struct sample *s, const struct si_aead *aead, const struct aead_vector *v)
{
    struct si_cipher_key key;

    assert_int_equal(from_hex(key.bytes, sizeof key.bytes, v->key), sizeof key.bytes);
    s->ad_len = from_hex(s->ad, sizeof s->ad, v->ad);
    s->text_len = from_hex(s->text, sizeof s->text, v->text);
    s->sealed_len = from_hex(s->sealed, sizeof s->sealed, v->sealed);
    assert_int_equal(s->sealed_len, s->text_len + SI_TAG_LEN);
    assert_ok(aead->key_new(&s->key, &key));
    assert_non_null(s->key);
}

/* Out of place and in place, one after the other on one key: a key serves both directions. */
static void check_aead_vector(const struct si_aead *aead, const struct aead_vector *v)
{
    struct sample s;
    struct si_span ad;
    uint8_t out[TEXT_MAX];

    sample_init(&s, aead, v);
    ad = si_span(s.ad_len > 0 ? s.ad : NULL, s.ad_len);
    for (int round = 0; round < 2; round++) {
        assert_ok(si_aead_seal(aead, s.key, v->n, ad, s.text, s.text_len, out));
        assert_hex(out, s.sealed_len, v->sealed);
        assert_ok(aead->open(s.key, v->n, ad, out, s.sealed_len, out));
        assert_hex(out, s.text_len, v->text);
        assert_ok(si_aead_seal(aead, s.key, v->n, ad, out, s.text_len, out));
        assert_hex(out, s.sealed_len, v->sealed);
        memset(out, 0xaa, sizeof out);
        assert_ok(aead->open(s.key, v->n, ad, s.sealed, s.sealed_len, out));
        assert_hex(out, s.text_len, v->text);
        assert_int_equal(out[s.text_len], 0xaa);
    }
    aead->key_free(s.key);
}

static void aead_known_answers(void **state)
{
    size_t count, checks = 0;
    const struct si_aead *const *aeads = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < SI_COUNT(aead_vectors); j++) {
            if (strcmp(aeads[i]->name, aead_vectors[j].aead) == 0) {
                check_aead_vector(aeads[i], &aead_vectors[j]);
                checks++;
            }
        }
    }
    assert_true(checks >= SI_COUNT(aead_vectors));
}

/* A forgery: E_AUTH, nothing of the text in OUT, in place as well. */
static void expect_forged(const struct si_aead *aead, struct si_aead_key *key, uint64_t n,
                          struct si_span ad, const uint8_t *sealed, size_t len)
{
    uint8_t out[TEXT_MAX];
    size_t text_len = len < SI_TAG_LEN ? 0 : len - SI_TAG_LEN;

    memset(out, 0xaa, sizeof out);
    assert_err(aead->open(key, n, ad, sealed, len, out), SOTTO_E_AUTH);
    assert_zero(out, text_len);
    assert_int_equal(out[text_len], 0xaa);
    memcpy(out, sealed, len);
    assert_err(aead->open(key, n, ad, out, len, out), SOTTO_E_AUTH);
    assert_zero(out, text_len);
    assert_no_openssl_errors();
}

static void check_forgeries(const struct si_aead *aead)
{
    struct si_cipher_key raw = {{1, 2, 3}};
    struct si_aead_key *key, *other_key;
    uint8_t text[37], sealed[sizeof text + SI_TAG_LEN], again[sizeof sealed], ad[5] = "addit";
    struct si_span ad_span = si_span(ad, sizeof ad);
    const uint64_t n = 77;

    memset(text, 'x', sizeof text);
    assert_ok(aead->key_new(&key, &raw));
    assert_ok(si_aead_seal(aead, key, n, ad_span, text, sizeof text, sealed));

    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect_forged(aead, key, n, ad_span, sealed, sizeof sealed);
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof ad; bit++) {
        ad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect_forged(aead, key, n, ad_span, sealed, sizeof sealed);
        ad[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < sizeof sealed; len++)
        expect_forged(aead, key, n, ad_span, sealed, len);
    for (unsigned bit = 0; bit < 64; bit++)
        expect_forged(aead, key, n ^ UINT64_C(1) << bit, ad_span, sealed, sizeof sealed);
    expect_forged(aead, key, n, si_span(NULL, 0), sealed, sizeof sealed);
    expect_forged(aead, key, n, si_span(ad, sizeof ad - 1), sealed, sizeof sealed);

    raw.bytes[31] = 1;
    assert_ok(aead->key_new(&other_key, &raw));
    expect_forged(aead, other_key, n, ad_span, sealed, sizeof sealed);
    aead->key_free(other_key);

    /* After all that the key still works, and gives the same. */
    assert_ok(si_aead_seal(aead, key, n, ad_span, text, sizeof text, again));
    assert_memory_equal(again, sealed, sizeof sealed);
    assert_ok(aead->open(key, n, ad_span, sealed, sizeof sealed, again));
    assert_memory_equal(again, text, sizeof text);
    aead->key_free(key);
}

static void aead_forgeries_are_refused(void **state)
{
    size_t count;
    const struct si_aead *const *aeads = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        check_forgeries(aeads[i]);
}

/* Every length around the sizes at which implementations change their method. */
static void aead_all_lengths(void **state)
{
    static uint8_t text[65535], sealed[sizeof text + SI_TAG_LEN], opened[sizeof text];
    static const size_t large[] = {1023, 1024, 1025, 4096, 65517, 65519, 65535};
    struct si_cipher_key raw = {{9}};
    size_t count;
    const struct si_aead *const *aeads = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < count; i++) {
        struct si_aead_key *key;

        assert_ok(aeads[i]->key_new(&key, &raw));
        for (size_t j = 0; j < 300 + SI_COUNT(large); j++) {
            size_t len = j < 300 ? j : large[j - 300];
            struct si_span ad = si_span(text, j % 40);

            assert_ok(si_aead_seal(aeads[i], key, j, ad, text, len, sealed));
            assert_ok(aeads[i]->open(key, j, ad, sealed, len + SI_TAG_LEN, opened));
            assert_memory_equal(opened, text, len);
            assert_ok(aeads[i]->open(key, j, ad, sealed, len + SI_TAG_LEN, sealed));
            assert_memory_equal(sealed, text, len);
        }
        aeads[i]->key_free(key);
    }
}

static void aead_lengths_beyond_int_are_refused(void **state)
{
    const size_t huge = (size_t)INT_MAX + 1;
    struct si_cipher_key raw = {{0}};
    uint8_t byte[SI_TAG_LEN + 1] = {0};
    size_t count;
    const struct si_aead *const *aeads = si_aead_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_aead_key *key;
        struct si_span none = si_span(NULL, 0), huge_ad = si_span(byte, huge);

        assert_ok(aeads[i]->key_new(&key, &raw));
        assert_err(si_aead_seal(aeads[i], key, 0, none, byte, huge, byte), SOTTO_E_USAGE);
        assert_err(si_aead_seal(aeads[i], key, 0, huge_ad, byte, 1, byte), SOTTO_E_USAGE);
        assert_err(aeads[i]->open(key, 0, none, byte, huge + SI_TAG_LEN, byte), SOTTO_E_USAGE);
        assert_err(aeads[i]->open(key, 0, huge_ad, byte, sizeof byte, byte), SOTTO_E_USAGE);
        assert_zero(byte, sizeof byte);
        aeads[i]->key_free(key);
        aeads[i]->key_free(NULL);
    }
}

/* ---- The choice ------------------------------------------------------------------------------ */

static const struct si_dh *dh_named(const char *name)
{
    const struct si_dh *dh = si_dh_by_name(si_span_str(name));

    assert_non_null(dh);
    return dh;
}

static void names_are_exact(void **state)
{
    static const char *const wrong[] = {"",       "2551",    "255190", "AESGCMx",
                                        "aesgcm", "SHA-256", "sha256"};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(wrong); i++) {
        assert_null(si_dh_by_name(si_span_str(wrong[i])));
        assert_null(si_aead_by_name(si_span_str(wrong[i])));
        assert_null(si_hash_by_name(si_span_str(wrong[i])));
        assert_int_equal(sotto_curve_by_name(wrong[i]), 0);
        assert_int_equal(sotto_cipher_by_name(wrong[i]), 0);
    }
    assert_null(si_dh_by_name(si_span(NULL, 0)));
    assert_null(si_dh_by_name(si_span("448", 4)));
    assert_int_equal(sotto_curve_by_name(NULL), 0);
    assert_int_equal(sotto_cipher_by_name(NULL), 0);
}

static void algorithms_have_their_sizes(void **state)
{
    size_t count;
    const struct si_aead *const *aeads = si_aead_all(&count);

    (void)state;
    assert_int_equal(dh_named("25519")->len, 32);
    assert_int_equal(dh_named("448")->len, 56);
    for (size_t i = 0; i < count; i++) {
        bool gcm = strcmp(aeads[i]->name, "AESGCM") == 0;

        assert_true(aeads[i]->max_bytes == (gcm ? UINT64_C(1) << 56 : UINT64_MAX));
        assert_non_null(aeads[i]->backend);
    }
}

static void curves_and_ciphers(void **state)
{
    (void)state;
    assert_string_equal(sotto_curve_name(SOTTO_CURVE_25519), "25519");
    assert_string_equal(sotto_curve_name(SOTTO_CURVE_448), "448");
    assert_int_equal(sotto_curve_by_name("25519"), SOTTO_CURVE_25519);
    assert_int_equal(sotto_curve_by_name("448"), SOTTO_CURVE_448);
    assert_int_equal(sotto_curve_key_len(SOTTO_CURVE_25519), 32);
    assert_int_equal(sotto_curve_key_len(SOTTO_CURVE_448), 56);
    assert_string_equal(sotto_cipher_name(SOTTO_CIPHER_AESGCM), "AESGCM");
    assert_string_equal(sotto_cipher_name(SOTTO_CIPHER_CHACHAPOLY), "ChaChaPoly");
    assert_int_equal(sotto_cipher_by_name("AESGCM"), SOTTO_CIPHER_AESGCM);
    assert_int_equal(sotto_cipher_by_name("ChaChaPoly"), SOTTO_CIPHER_CHACHAPOLY);

    /* protocol section 3: the hash goes with the curve */
    assert_string_equal(si_curve_dh(SOTTO_CURVE_25519)->name, "25519");
    assert_string_equal(si_curve_dh(SOTTO_CURVE_448)->name, "448");
    assert_string_equal(si_curve_hash(SOTTO_CURVE_25519)->name, "SHA256");
    assert_string_equal(si_curve_hash(SOTTO_CURVE_448)->name, "SHA512");
    assert_string_equal(si_cipher_aead(SOTTO_CIPHER_AESGCM)->name, "AESGCM");
    assert_string_equal(si_cipher_aead(SOTTO_CIPHER_CHACHAPOLY)->name, "ChaChaPoly");

    for (int none = 0; none <= 3; none += 3) {
        assert_null(sotto_curve_name((sotto_curve)none));
        assert_int_equal(sotto_curve_key_len((sotto_curve)none), 0);
        assert_null(sotto_cipher_name((sotto_cipher)none));
        assert_null(si_curve_dh((sotto_curve)none));
        assert_null(si_curve_hash((sotto_curve)none));
        assert_null(si_cipher_aead((sotto_cipher)none));
    }
}

/* ---- First use by several threads at once ---------------------------------------------------- */

static void *use_everything(void *arg)
{
    struct si_cipher_key raw = {{0}};
    struct si_private_key priv;
    struct si_public_key pub;
    size_t count, failed = 0;

    const struct si_dh *const *dhs = si_dh_all(&count);
    for (size_t i = 0; i < count; i++)
        failed += dhs[i]->generate(dhs[i], &priv, &pub) != SOTTO_OK;

    const struct si_aead *const *aeads = si_aead_all(&count);
    for (size_t i = 0; i < count; i++) {
        struct si_aead_key *key;

        failed += aeads[i]->key_new(&key, &raw) != SOTTO_OK;
        aeads[i]->key_free(key);
    }

    const struct si_hash *const *hashes = si_hash_all(&count);
    for (size_t i = 0; i < count; i++) {
        struct si_hash_ctx *ctx;

        failed += si_hash_ctx_new(&ctx, hashes[i]) != SOTTO_OK;
        si_hash_ctx_free(ctx);
    }
    return failed == 0 ? arg : NULL;
}

static void threads_may_start_together(void **state)
{
    pthread_t threads[8];
    int done;

    (void)state;
    for (size_t i = 0; i < SI_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_everything, &done), 0);
    for (size_t i = 0; i < SI_COUNT(threads); i++) {
        void *result;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, &done);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_may_start_together), /* before anything is initialised */
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(random_stays_below_its_bound),
        cmocka_unit_test(no_random_bytes_is_an_error),
        cmocka_unit_test(dh_known_answers),
        cmocka_unit_test(dh_pairs_agree),
        cmocka_unit_test(dh_iterated),
        cmocka_unit_test(low_order_points_are_refused),
        cmocka_unit_test(other_public_keys_pass_the_check),
        cmocka_unit_test(generated_pairs_agree),
        cmocka_unit_test(backends_of_a_curve_agree),
        cmocka_unit_test(aead_known_answers),
        cmocka_unit_test(aead_forgeries_are_refused),
        cmocka_unit_test(aead_all_lengths),
        cmocka_unit_test(aead_lengths_beyond_int_are_refused),
        cmocka_unit_test(names_are_exact),
        cmocka_unit_test(algorithms_have_their_sizes),
        cmocka_unit_test(curves_and_ciphers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

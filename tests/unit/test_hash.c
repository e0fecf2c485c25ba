/*
 * Hashes, HMAC, HKDF and PBKDF2.  Every backend passes the same vectors.
 */
#include "crypto_test.h"

static struct si_hash_ctx *context_of(const struct si_hash *hash)
{
    struct si_hash_ctx *ctx;

    assert_ok(si_hash_ctx_new(&ctx, hash));
    return ctx;
}

static struct si_span text_span(const char *text)
{
    return si_span(text, strlen(text));
}

/* What the test is about: one algorithm and the answers for it. */
struct vector {
    const char *hash;
    const char *answers[6];
};

static void for_each_hash(const struct vector *vectors, size_t vector_count,
                          void (*check)(const struct si_hash *, const char *const *answers))
{
    size_t count, checks = 0;
    const struct si_hash *const *hashes = si_hash_all(&count);

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < vector_count; j++) {
            if (strcmp(hashes[i]->name, vectors[j].hash) == 0) {
                check(hashes[i], vectors[j].answers);
                checks++;
            }
        }
    }
    assert_true(checks >= vector_count);
}

/* ---- Hashes ---------------------------------------------------------------------------------- */

/* The empty text, "abc" (FIPS 180-4 and RFC 7693 appendices A and B for it), the bytes 0 to 199. */
static const struct vector hash_vectors[] = {
    {"SHA256",
     {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "1901da1c9f699b48f6b2636e65cbf73abf99d0441ef67f5c540a42f7051dec6f"}},
    {"SHA512",
     {"cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877e"
      "ec2f63b931bd47417a81a538327af927da3e",
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3fe"
      "ebbd454d4423643ce80e2a9ac94fa54ca49f",
      "986058e9895e2c2ab8f9e8cbdf801db12a44842a56a91d5a4e87b1fc98b293722c4664142e42c3c551ff89864626"
      "8cd92b84ed230b8c94bed7798d4f27cd7465"}},
    {"BLAKE2s",
     {"69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9",
      "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
      "6d244e1a06ce4ef578dd0f63aff0936706735119ca9c8d22d86c801414ab9741"}},
    {"BLAKE2b",
     {"786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419d25e1031afee585313896444934e"
      "b04b903a685b1448b755d56f701afe9be2ce",
      "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533"
      "cc9518d38aa8dbf1925ab92386edd4009923",
      "fb3c1f0f56a56f8e316fdf5d853c8c872c39635d083634c3904fc3ac07d1b578e85ff0e480e92d44ade33b62e893"
      "ee32343e79ddf6ef292e89b582d312502314"}},
};

static void check_hash(const struct si_hash *hash, const char *const *answers)
{
    struct si_hash_ctx *ctx = context_of(hash);
    struct si_span abc = text_span("abc");
    uint8_t bytes[200], out[SI_HASH_LEN_MAX];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_ok(si_hash_parts(ctx, NULL, 0, out));
    assert_hex(out, hash->len, answers[0]);
    assert_ok(si_hash_parts(ctx, &abc, 1, out));
    assert_hex(out, hash->len, answers[1]);

    /* in two parts, cut everywhere */
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        struct si_span parts[] = {
            si_span(bytes, cut),
            si_span(NULL, 0),
            si_span(bytes + cut, sizeof bytes - cut),
        };

        assert_ok(si_hash_parts(ctx, parts, SI_COUNT(parts), out));
        assert_hex(out, hash->len, answers[2]);
    }
    si_hash_ctx_free(ctx);
}

static void hash_known_answers(void **state)
{
    (void)state;
    for_each_hash(hash_vectors, SI_COUNT(hash_vectors), check_hash);
}

/* h = HASH(h | data), as MixHash() does it */
static void hash_may_overwrite_a_part(void **state)
{
    size_t count;
    const struct si_hash *const *hashes = si_hash_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct si_hash_ctx *ctx = context_of(hashes[i]);
        uint8_t h[SI_HASH_LEN_MAX] = {1, 2, 3}, apart[SI_HASH_LEN_MAX];
        struct si_span parts[] = {si_span(h, hashes[i]->len), text_span("data")};

        assert_ok(si_hash_parts(ctx, parts, 2, apart));
        assert_ok(si_hash_parts(ctx, parts, 2, h));
        assert_memory_equal(h, apart, hashes[i]->len);
        si_hash_ctx_free(ctx);
    }
    si_hash_ctx_free(NULL);
}

static void hashes_have_their_sizes(void **state)
{
    static const struct {
        const char *name;
        size_t len, block_len;
    } sizes[] = {
        {"SHA256", 32, 64}, {"SHA512", 64, 128}, {"BLAKE2s", 32, 64}, {"BLAKE2b", 64, 128}};

    (void)state;
    for (size_t i = 0; i < SI_COUNT(sizes); i++) {
        const struct si_hash *hash = si_hash_by_name(text_span(sizes[i].name));

        assert_non_null(hash);
        assert_string_equal(hash->name, sizes[i].name);
        assert_int_equal(hash->len, sizes[i].len);
        assert_int_equal(hash->block_len, sizes[i].block_len);
    }
}

/* ---- HMAC ------------------------------------------------------------------------------------ */

/* RFC 4231, whose test case 5 is left out: it truncates. */
static const struct {
    const char *key, *text, *sha256, *sha512;
} rfc4231[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
     "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f"
     "4e4be9d914eeb61f1702e696c203a126854"},
    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
     "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e"
     "6fdcaeab1a34d4a6b4b636e070a38bce737"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
     "ddddddd",
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
     "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c"
     "807b946a337bee8942674278859e13292fb"},
    {"0102030405060708090a0b0c0d0e0f10111213141516171819",
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdc"
     "dcdcdcd",
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
     "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788"
     "063a5f19741120c4f2de2adebeb10a298dd"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6"
     "579204669727374",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
     "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1"
     "e5295e64f73f63f0aec8b915a985d786598"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206"
     "b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b657920"
     "6e6565647320746f20626520686173686564206265666f7265206265696e6720757365642062792074686520484d4"
     "14320616c676f726974686d2e",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
     "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b10d5eeb55c3e4d"
     "e15134676fb6de0446065c97440fa8c6a58"},
};

static void hmac_rfc4231(void **state)
{
    (void)state;
    for (size_t i = 0; i < SI_COUNT(rfc4231); i++) {
        struct si_hash_ctx *sha256 = context_of(si_hash_by_name(text_span("SHA256")));
        struct si_hash_ctx *sha512 = context_of(si_hash_by_name(text_span("SHA512")));
        uint8_t key[200], text[200], out[SI_HASH_LEN_MAX];
        struct si_span key_span = si_span(key, from_hex(key, sizeof key, rfc4231[i].key));
        size_t text_len = from_hex(text, sizeof text, rfc4231[i].text);

        /* in two parts, cut everywhere */
        for (size_t cut = 0; cut <= text_len; cut++) {
            struct si_span parts[] = {si_span(text, cut), si_span(text + cut, text_len - cut)};

            assert_ok(si_hmac(sha256, key_span, parts, 2, out));
            assert_hex(out, 32, rfc4231[i].sha256);
            assert_ok(si_hmac(sha512, key_span, parts, 2, out));
            assert_hex(out, 64, rfc4231[i].sha512);
        }
        si_hash_ctx_free(sha256);
        si_hash_ctx_free(sha512);
    }
}

/* Keys of 0, block length - 1, block length, block length + 1 bytes (0, 1, 2, ...) over "text". */
static const struct vector hmac_vectors[] = {
    {"SHA256",
     {"0611b704abab473f956257a09cc2fc2c867211d077bdffc5a91bd8a5047826ff",
      "031e7f31fa690d4d7e39698aa240b66d3c8705b13c107f23e26c46845e06e921",
      "641d21a27db22a6a1e8bc28f948eee3c9e7c855f3e74f1fdf67f026e0e4fe70e",
      "03b31bdc10d1463cc050380fe3b8ddbc053dfb2f31c33564cefadfed4badba01"}},
    {"SHA512",
     {"6c7e747546d1955884a4da76925b48c89334ad512a535587d800690908270ef468b920e014f435887b16f54005d3"
      "f644a3592ea7197e250f8b5fcea7afb06923",
      "aecd6d28636e186401ff0864580f915c6684ba8814ef5678821d69eae136f35fad6021f970f8c929554a7a09bed4"
      "a54b9781439f84be15b36934a67a9c3c2b21",
      "c90008fff1f789c300f9b2a987fb5875718da32433cb0a25f8081531fbbec9633e631eb7e62c624d216e3d267c5c"
      "146538c02a7030b56730b6dd9d0f8269ce00",
      "ec934ed43b67461fa57a261b8f11da2259d771fdf92e86742c913d01177993f7a0f73581bd6b4394a73d275f8ba3"
      "aecb352a03e2c552895be3c6d5f22d499c5b"}},
    {"BLAKE2s",
     {"4ed949f82e80f4c5d7d2f823b6158dca666fcd3ae00ce313906f3e0e2e9bfea6",
      "a8b7573d9c4300032b5a36df547ce7061138ff0078f80fba2fc4c3a8bf5b04fa",
      "bf64cd574f1bba70bd335198b0e4a0901f34b00f93deb2564a5c18c402b5dd78",
      "ad76ede724e2c44c261fc547e843f93b060fbb6192360e2e9581be8c56e319d2"}},
    {"BLAKE2b",
     {"6fbb595e86752afcd2ba78b4910fc2e17053bb2d8f074619b8e91314ba52eea64b23568a11fccfd167dfaa8be24b"
      "9251d300d74697c2c24d33c4afa20033683f",
      "c4d6e7f17062bb279741245cadab9ddd60e472b860c45b9372eefee8d84dfdb76c93936b872d19893634b97fcfac"
      "5b463154f4a0266c53fa961eb5ba547f3585",
      "c32c336129944dbddb2dda95fd45dfaf23903f58d7a78d239e2a1624c72bb127ef1c2845226878501aa77d7d64d6"
      "b81e18ddc646e1c189f9726750f829b79d24",
      "b9d08089f853395366f1d2d3878ef07f2faddaf7313169561f8ae3042e8f50f4e91e9d8c4369c8bb1cae22dab211"
      "7328949b3fc02783156138912b1a88df333d"}},
};

static void check_hmac(const struct si_hash *hash, const char *const *answers)
{
    struct si_hash_ctx *ctx = context_of(hash);
    struct si_span text = text_span("text");
    size_t lens[] = {0, hash->block_len - 1, hash->block_len, hash->block_len + 1};
    uint8_t key[200], out[SI_HASH_LEN_MAX];

    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < SI_COUNT(lens); i++) {
        assert_ok(si_hmac(ctx, si_span(lens[i] > 0 ? key : NULL, lens[i]), &text, 1, out));
        assert_hex(out, hash->len, answers[i]);
    }

    /* OUT may be the key, and the text. */
    memcpy(out, key, hash->len);
    text = si_span(out, hash->len);
    assert_ok(si_hmac(ctx, si_span(key, hash->len), &text, 1, key));
    assert_ok(si_hmac(ctx, text, &text, 1, out));
    assert_memory_equal(out, key, hash->len);
    si_hash_ctx_free(ctx);
}

static void hmac_key_lengths(void **state)
{
    (void)state;
    for_each_hash(hmac_vectors, SI_COUNT(hmac_vectors), check_hmac);
}

/* ---- HKDF ------------------------------------------------------------------------------------ */

/* Three outputs for an empty input, then for the bytes 20..3f; ck is 0, 1, 2, ... */
static const struct vector hkdf_vectors[] = {
    {"SHA256",
     {"1d7e0d6f1d9da2d68dabed53b5f88345f3fd01cb75411fbe5aa4293bd8f430d6",
      "3ed9b8035bbf370b8cfef7ff15007de45488e18660c84e3d996e8e6c658fa7f8",
      "deb13a41969a3f32515850a9a082e41b072c2bcaecde627cce56db90903aadc5",
      "2607f5d05b268e0057684567787ed2f250fdb6e5b0572df9ef57a29539e5b5f8",
      "ccc538566c93ab32f7106fbee1e0e9fa5501f6363b63ce894b3a27385f13c86c",
      "f72d032483792781ae9b50b273a57a44b0f8c47ff9ca121e5443eb7a9dd62e74"}},
    {"SHA512",
     {"f9b577fa719749a99c1e6c74843fdef2d2747cf47a5416e2eacdc680538c661974b79983808cb593cb2e9643f201"
      "81a03ee1b01d42b29a1d89e74adc0981a023",
      "215314c7765451522a317194e1ea864b0794aea33bdce72cf3299aaafc6bfd840d74a69b1e14ba008c53f2f99b49"
      "646426330f938f39897448694cce793257fd",
      "b6a855a5703e60be2920e2baeb0444c8156a68fdda1bb1b5568f2275f5833a9adfaf29f90e08436e33c94aedace0"
      "25c5c9a425b65b94b50668ae1c5dc1b99aeb",
      "a2e1186406485faf357ba619c6c75481090bc4ecac98b06043d5c197fe38b2c030e784a8caee5dfc30806bebd283"
      "238ffb12d46695bb980a3a1f500fe7614234",
      "153b57648abaffad3bdafa297b215a55172a805eb05fc42bb62d260e76ea18dac29dd26caa41d2468a598d215420"
      "939b6f13bdecadd32a8e399f7198dfa02372",
      "28c113392002886423268ed78e61caad5e02f8dc5a5985b64ef8ce021c8630c45181e9de26dcac22e16c9e04a70f"
      "16bbd41e6d012a62e33c467b9ec8ef4b6246"}},
    {"BLAKE2s",
     {"7a38c34bf2b8738d7374ca77c44ecb309a11d2b2528304fa86052c365e722624",
      "1a17621f346abdc520746a9fb64d8eb03231d674fc15687537b0780fd9c060fd",
      "4eaf02809ac4b930ef63479de62275f1c55656e61f78a3cc653c18a2223d6c5f",
      "6a96444e20e8d4c1cee974416acae1c10b3c92886010e54ed94dafb2c3b80ea0",
      "57af120b0de7acbe7907ec149c5ae870a2dbb74232b65777ba4123f1f7f888f5",
      "0926c7caabb6e8d73beda759e6f4f0d324ce5b5000bcf8cd784b26db3049faa9"}},
    {"BLAKE2b",
     {"03be0946afb62e33dcc2e8cb76dfad47663d284d81c0bde963f32a283dede221be2b9e3a86fa82934234d2a6ed33"
      "1fb664a3e670252b9454da9ed2567b435e11",
      "8481b385940ea1ddc1e37243d34e6a00d9e35fe86844b75be2f9d084efcbf4a9d18c764645baf5262707efcb490c"
      "9ddfcc81c78ff75e1e727428f05b9fee857f",
      "acdbd8e7a251555a14055d23f4f43995042fdfc8178635fd72bac03932f52c54f608730b82d65ece0ebd610ca589"
      "43edaa3a9928715cdfcd309c4e5749e03f26",
      "bb1fe18452e9c3c965e492200539a1339827c462b19abcc0932659fac595bc95b37b6c83d787c0414f0166591935"
      "0340230449e79aa32649d71a6a0a38600719",
      "581a7f06a015075cb84b855618e800e743fced2ab0beab3baedc714c8e6a0e250478cb0e80720feb1634038c168a"
      "e3773fd3cadfb7ede97c4b4fdd1a4db14ecf",
      "9af7ceadf5bc6b113509ee5cf00ce39ece8ba4537a9ed839e3747ed4209494597b1306727e6aa64c81c667d1638e"
      "e58d23ec3476cb4977cdf7eb5cb3253cffc7"}},
};

static void check_hkdf(const struct si_hash *hash, const char *const *answers)
{
    struct si_hash_ctx *ctx = context_of(hash);
    uint8_t first_ck[SI_HASH_LEN_MAX], ikm[32], out[3][SI_HASH_LEN_MAX];

    for (size_t i = 0; i < hash->len; i++)
        first_ck[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof ikm; i++)
        ikm[i] = (uint8_t)(0x20 + i);
    for (int full = 0; full < 2; full++) {
        struct si_span input = full ? si_span(ikm, sizeof ikm) : si_span(NULL, 0);
        uint8_t ck[SI_HASH_LEN_MAX];

        assert_ok(si_hkdf(ctx, first_ck, input, out[0], out[1], out[2]));
        for (int i = 0; i < 3; i++)
            assert_hex(out[i], hash->len, answers[3 * full + i]);

        /* ck, k = HKDF(ck, input): the output goes where ck was. */
        memcpy(ck, first_ck, sizeof ck);
        memset(out, 0xaa, sizeof out);
        assert_ok(si_hkdf(ctx, ck, input, ck, out[1], NULL));
        assert_hex(ck, hash->len, answers[3 * full]);
        assert_hex(out[1], hash->len, answers[3 * full + 1]);
        assert_int_equal(out[2][0], 0xaa);

        memcpy(ck, first_ck, sizeof ck);
        assert_ok(si_hkdf(ctx, ck, input, out[0], out[1], ck));
        assert_hex(ck, hash->len, answers[3 * full + 2]);
    }
    si_hash_ctx_free(ctx);
}

static void hkdf_known_answers(void **state)
{
    (void)state;
    for_each_hash(hkdf_vectors, SI_COUNT(hkdf_vectors), check_hkdf);
}

/* RFC 5869 appendix A.3: no salt is 32 zero bytes, no info; its 42 bytes end in the second
 * output. */
static void hkdf_rfc5869(void **state)
{
    struct si_hash_ctx *ctx = context_of(si_hash_by_name(text_span("SHA256")));
    uint8_t ck[32] = {0}, ikm[22], out[64];

    (void)state;
    memset(ikm, 0x0b, sizeof ikm);
    assert_ok(si_hkdf(ctx, ck, si_span(ikm, sizeof ikm), out, out + 32, NULL));
    assert_hex(
        out, 42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    si_hash_ctx_free(ctx);
}

/* ---- PBKDF2 ---------------------------------------------------------------------------------- */

/* "passwd", "salt", 1 (RFC 7914 section 11 for SHA256); nothing, nothing, 1; a password longer than
 * a block, 36 bytes of salt, 4096. */
static const struct vector pbkdf2_vectors[] = {
    {"SHA256",
     {"55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77"
      "ef317c71b845b1e30bd509112041d3a19783",
      "f7ce0b653d2d72a4108cf5abe912ffdd777616dbbb27a70e8204f3ae2d0f6fad",
      "2c5ec2bcec95a14e10823aa2c7fe8d9f2d9f5849b8f0d67c305a27cf59adc68accbb07e8b8e38647"}},
    {"SHA512",
     {"c74319d99499fc3e9013acff597c23c5baf0a0bec5634c46b8352b793e324723d55caa76b2b25c43402dcfdc06cd"
      "cf66f95b7d0429420b39520006749c51a04e",
      "6d2ecbbbfb2e6dcd7056faf9af6aa06eae594391db983279a6bf27e0eb228614",
      "a8c4ae57c6df34d68778525dc11f0660afd1f89b187be7fe4fd6adea3943099b2951b5df58cbc1b2"}},
    {"BLAKE2s",
     {"964e5f5bff4cdc36dd4df9fc2376af537ff6503864fcbda0316e75c8eb1fb48caea6144bab1c2f3e3bcb980882dd"
      "ae70d78fe8c30c37cfac6ec5f49495c4c233",
      "c46a69f57efa1868c0159269fb9e48234b7b5cd6e4f19e095fd3cd0e0b66e08d",
      "0ee94622d0d87f341d54ed406228b100d384d39488121942d0c764d4fca968459525759b75310f58"}},
    {"BLAKE2b",
     {"13410f4b200ec27cc6c48404485005ef0f63bd0306d9feb6b719e141e049c7b5390539251c29c6e205bd6c215f0d"
      "a4d92c810634fe43c2394c1e9f6e5f4b72ba",
      "d49f0fcd9ffbeb6c19048a114f65164ad2a9974d6c2520df515c5d8fe4371cc3",
      "b0c99bb9e52d3ff8338f04dfc86f83244a7dab074aa9088799672b987e44f7f31f2e088d04b70f0b"}},
};

static void check_pbkdf2(const struct si_hash *hash, const char *const *answers)
{
    char password[6 * 24 + 1] = "";
    uint8_t out[100];
    uint64_t before = si_pbkdf2_count();

    for (int i = 0; i < 6; i++)
        strcat(password, "passwordPASSWORDpassword");
    assert_ok(si_pbkdf2(hash, text_span("passwd"), text_span("salt"), 1, out, 64));
    assert_hex(out, 64, answers[0]);
    assert_ok(si_pbkdf2(hash, si_span(NULL, 0), si_span(NULL, 0), 1, out, 32));
    assert_hex(out, 32, answers[1]);
    assert_ok(si_pbkdf2(hash, text_span(password),
                        text_span("saltSALTsaltSALTsaltSALTsaltSALTsalt"), 4096, out, 40));
    assert_hex(out, 40, answers[2]);
    assert_true(si_pbkdf2_count() == before + 3);
}

static void pbkdf2_known_answers(void **state)
{
    const struct si_hash *sha256 = si_hash_by_name(text_span("SHA256"));
    uint8_t out[64];

    (void)state;
    for_each_hash(pbkdf2_vectors, SI_COUNT(pbkdf2_vectors), check_pbkdf2);

    /* RFC 7914 section 11, the second one */
    assert_ok(si_pbkdf2(sha256, text_span("Password"), text_span("NaCl"), 80000, out, 64));
    assert_hex(out, 64,
               "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56a1d425a1225833549ad"
               "b841b51c9b3176a272bdebba1d078478f62b397f33c8d");
}

static void pbkdf2_refuses(void **state)
{
    const struct si_hash *hash = si_hash_by_name(text_span("SHA256"));
    struct si_span text = text_span("text"), huge = {text.ptr, (size_t)INT32_MAX + 1};
    uint64_t before = si_pbkdf2_count();
    uint8_t out[32];

    (void)state;
    memset(out, 0xaa, sizeof out);
    assert_err(si_pbkdf2(hash, text, text, 0, out, sizeof out), SOTTO_E_USAGE);
    assert_zero(out, sizeof out);
    assert_err(si_pbkdf2(hash, text, text, UINT32_C(0x80000000), out, sizeof out), SOTTO_E_USAGE);
    assert_err(si_pbkdf2(hash, text, text, 1, out, 0), SOTTO_E_USAGE);
    assert_err(si_pbkdf2(hash, huge, text, 1, out, sizeof out), SOTTO_E_USAGE);
    assert_err(si_pbkdf2(hash, text, huge, 1, out, sizeof out), SOTTO_E_USAGE);
    assert_err(si_pbkdf2(hash, text, text, 1, out, huge.len), SOTTO_E_USAGE);
    assert_true(si_pbkdf2_count() == before);
}

/* The example of docs/protocol.md section 5: a PSK and a gate's PSK for each curve. */
static void pbkdf2_protocol_example(void **state)
{
    static const struct {
        sotto_curve curve;
        const char *psk, *gate;
    } examples[] = {
        {SOTTO_CURVE_25519, "a3035cef8d35e658269c317325f698e6848b1acc4e616a629b12481b3fafad96",
         "2fd4781f461035781f5a3bba8be6b946ebd1ea8849a5980c30eee3eecaff9ecb"},
        {SOTTO_CURVE_448, "5b24c8b9d55716707bcaa7fa56bc447da97411155bafc03cbcb79156f3cc8c68",
         "9907aa7158d99b00ddcef960c3d782f4a167e0ae84429fb7bad5a10132f2f8a4"},
    };
    uint8_t seed[64], gate[64] = "sotto gate", salt[32], out[SOTTO_PSK_LEN];
    size_t seed_len = from_hex(seed, sizeof seed,
                               "000102030405060708090a0b0c0d0e0f"
                               "000773c3a97276657200087368e282ac726564");
    size_t gate_len = 10 + from_hex(gate + 10, sizeof gate - 10, "00087368e282ac726564");

    (void)state;
    for (size_t i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)i;
    for (size_t i = 0; i < SI_COUNT(examples); i++) {
        const struct si_hash *hash = si_curve_hash(examples[i].curve);

        assert_ok(si_pbkdf2(hash, si_span(seed, seed_len), si_span(salt, sizeof salt), 10000, out,
                            sizeof out));
        assert_hex(out, sizeof out, examples[i].psk);
        assert_ok(si_pbkdf2(hash, si_span(gate, gate_len), si_span(salt, sizeof salt), 10000, out,
                            sizeof out));
        assert_hex(out, sizeof out, examples[i].gate);
    }
    assert_no_openssl_errors();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_known_answers),
        cmocka_unit_test(hash_may_overwrite_a_part),
        cmocka_unit_test(hashes_have_their_sizes),
        cmocka_unit_test(hmac_rfc4231),
        cmocka_unit_test(hmac_key_lengths),
        cmocka_unit_test(hkdf_known_answers),
        cmocka_unit_test(hkdf_rfc5869),
        cmocka_unit_test(pbkdf2_known_answers),
        cmocka_unit_test(pbkdf2_refuses),
        cmocka_unit_test(pbkdf2_protocol_example),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

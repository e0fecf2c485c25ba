#include "fixed_dh.h"

const struct si_dh *__real_si_dh_by_name(struct si_span name);
const struct si_dh *__real_si_curve_dh(sotto_curve curve);
const struct si_dh *__wrap_si_dh_by_name(struct si_span name);
const struct si_dh *__wrap_si_curve_dh(sotto_curve curve);

struct si_span fixed_ephemeral;

static sotto_err generate(const struct si_dh *dh, struct si_private_key *priv,
                          struct si_public_key *pub)
{
    memset(priv, 0, sizeof *priv);
    memset(pub, 0, sizeof *pub);
    if (fixed_ephemeral.len == 0)
        return si_dh_generate(dh, priv, pub);
    if (fixed_ephemeral.len < dh->len)
        return SOTTO_E_USAGE;
    memcpy(priv->bytes, fixed_ephemeral.ptr, dh->len);
    return dh->derive_public(pub, priv);
}

static const struct si_dh *with_fixed(const struct si_dh *dh)
{
    static struct si_dh copies[SOTTO_CURVE_COUNT];
    struct si_dh *copy;

    if (dh == NULL)
        return NULL;
    copy = &copies[dh->len == 56];
    *copy = *dh;
    copy->generate = generate;
    return copy;
}

const struct si_dh *__wrap_si_dh_by_name(struct si_span name)
{
    return with_fixed(__real_si_dh_by_name(name));
}

const struct si_dh *__wrap_si_curve_dh(sotto_curve curve)
{
    return with_fixed(__real_si_curve_dh(curve));
}

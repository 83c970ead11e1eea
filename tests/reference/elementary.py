"""Elementary functions in binary64 by fixed sequences of IEEE 754 operations, for arrays."""

import numpy as np

LN2_HIGH, LN2_LOW = np.array([0x3FE62E42FEE00000, 0x3DEA39EF35793C76], "u8").view("f8")
HALF_PI_HIGH, HALF_PI_LOW = np.array([0x3FF921FB54400000, 0x3DD0B4611A626331], "u8").view("f8")
MAGIC = 6755399441055744.0


def factorial(n):
    return float(np.prod(np.arange(1, n + 1, dtype="f8")))


def exp_parts(x):
    x = np.where(x > 709, 709.0, x)
    x = np.where(x < -708, -708.0, x)
    n = (x * 1.4426950408889634 + MAGIC) - MAGIC
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    q = np.zeros_like(r)
    for k in range(13, 1, -1):
        q = q * r + 1 / factorial(k)
    return np.ldexp(1.0, np.nan_to_num(n).astype("i4")), r + (r * r) * q


def exp(x):
    scale, p = exp_parts(x)
    return scale + scale * p


def sinh(x):
    scale, p = exp_parts(np.abs(x))
    e = (scale - 1.0) + scale * p
    return np.copysign(0.5 * e + 0.5 * (e / (e + 1.0)), x)


def cosh(x):
    e = exp(np.abs(x))
    return 0.5 * e + 0.5 / e


def twice_artanh(s):
    z = s * s
    q = np.zeros_like(z)
    for k in range(12, 0, -1):
        q = q * z + 1.0 / (2 * k + 1)
    return 2.0 * (s + s * (z * q))


def ln(x):
    limits = np.finfo("f8")
    x = np.where(x > limits.max, limits.max, x)
    x = np.where(x < limits.tiny, limits.tiny, x)
    bits = np.where(np.isnan(x), 1.0, x).view("i8")
    e = (bits - 0x3FE6A09E667F3BCD) >> 52
    m = (bits - (e << 52)).view("f8")
    e = e.astype("f8")
    return np.where(np.isnan(x), x, e * LN2_HIGH + (twice_artanh((m - 1.0) / (m + 1.0)) + e * LN2_LOW))


def asinh(x):
    a = np.abs(x)
    u = a + a * a / (1.0 + np.sqrt(1.0 + a * a))
    small = np.where(u < 0.4, twice_artanh(u / (2.0 + u)), ln(1.0 + u))
    return np.copysign(np.where(a > 1e9, ln(a) + 0.6931471805599453, small), x)


def quarter(x, quadrants):
    """sin(x + quadrants * pi / 2)"""
    n = np.floor(x * 0.6366197723675814 + 0.5)
    r = (x - n * HALF_PI_HIGH) - n * HALF_PI_LOW
    r2 = r * r
    sine, cosine = np.zeros_like(r), np.zeros_like(r)
    for k in range(8, 0, -1):
        sign = 1.0 if k % 2 == 0 else -1.0
        sine = sine * r2 + sign / factorial(2 * k + 1)
        cosine = cosine * r2 + sign / factorial(2 * k)
    # A number beyond 64 bits counts as the nearest that is not, NaN as 0.
    clipped = np.nan_to_num(np.clip(n, -(2.0**63), 2.0**63))
    quadrant = np.array([min(int(v), 2**63 - 1) + quadrants & 3 for v in clipped.ravel()]).reshape(n.shape)
    value = np.where(quadrant & 1 == 0, r + r * r2 * sine, 1.0 + r2 * cosine)
    return np.where(quadrant & 2 == 0, value, -value)


def sin(x):
    return quarter(x, 0)


def cos(x):
    return quarter(x, 1)

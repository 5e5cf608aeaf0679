/* Random numbers that are functions of a counter, so that any thread can make any of them.

   Philox4x32-10:  J. Salmon, M. Moraes, R. Dror, D. Shaw, Parallel random numbers: as easy as
                   1, 2, 3, SC 2011.
   Normals:        G. Box, M. Muller, Ann. Math. Stat. 29 (1958) 610, from two uniform numbers of
                   53 bits: no normal is larger than 8.6, which has probability 1e-17.
   Gamma:          G. Marsaglia, W. Tsang, ACM Trans. Math. Softw. 26 (2000) 363. */

struct Words {
    unsigned int word[4];
};

/* What a number depends on: the seed, by the key, and the replica and the step, by the counter. */
struct Stream {
    unsigned int key[2];
    unsigned int replica;
    unsigned long long step;
};

/* Purposes, which keep the numbers of a step apart. */
constexpr unsigned int FIELDS = 0, LABELS = 1, LENGTHS = 2, COMPONENTS = 3;

__device__ inline Words philox(Words counter, unsigned int key0, unsigned int key1) {
    for (int round = 0; round < 10; ++round) {
        const unsigned long long a = 0xD2511F53ull * counter.word[0];
        const unsigned long long b = 0xCD9E8D57ull * counter.word[2];
        counter = {{static_cast<unsigned int>(b >> 32) ^ counter.word[1] ^ key0,
                    static_cast<unsigned int>(b),
                    static_cast<unsigned int>(a >> 32) ^ counter.word[3] ^ key1,
                    static_cast<unsigned int>(a)}};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return counter;
}

/* Steps stay below 2^56: the upper byte of the third word is the purpose's. */
__device__ inline Words draw(const Stream& stream, unsigned int purpose, unsigned int index) {
    const Words counter = {{index, static_cast<unsigned int>(stream.step),
                            static_cast<unsigned int>(stream.step >> 32) | purpose << 24,
                            stream.replica}};
    return philox(counter, stream.key[0], stream.key[1]);
}

/* Uniform on (0, 1]. */
__device__ inline double uniform(unsigned int high, unsigned int low) {
    const unsigned long long bits = static_cast<unsigned long long>(high) << 32 | low;
    return static_cast<double>((bits >> 11) + 1) * 0x1p-53;
}

__device__ inline void normals(const Words& words, double* first, double* second) {
    const double radius = sqrt(-2.0 * log(uniform(words.word[0], words.word[1])));
    double sine, cosine;
    sincospi(2.0 * uniform(words.word[2], words.word[3]), &sine, &cosine);
    *first = radius * cosine;
    *second = radius * sine;
}

/* Gamma of scale 1. Below shape 1, that of shape + 1 times the power 1/shape of a uniform. A place
   below 2^26 has 64 indices, of which attempts use two each; that many have probability 1e-40. */
__device__ inline double standard_gamma(
    const Stream& stream, double shape, unsigned int place = 0
) {
    const unsigned int first = 64 * place;
    double boost = 1.0;
    if (shape < 1.0) {
        const Words words = draw(stream, LENGTHS, first);
        boost = exp(log(uniform(words.word[0], words.word[1])) / shape);
        shape += 1.0;
    }
    const double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (unsigned int attempt = 1;; ++attempt) {
        double x, unused;
        normals(draw(stream, LENGTHS, first + 2 * attempt), &x, &unused);
        const double root = 1.0 + c * x, v = root * root * root;
        if (v <= 0.0) continue;
        const Words words = draw(stream, LENGTHS, first + 2 * attempt + 1);
        const double chance = uniform(words.word[0], words.word[1]);
        if (chance < 1.0 - 0.0331 * x * x * x * x ||
            log(chance) < 0.5 * x * x + d - d * v + d * log(v))
            return boost * d * v;
    }
}

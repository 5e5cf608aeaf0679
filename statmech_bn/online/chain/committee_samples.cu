/* The step of UNITS units that learn from TEACHERS: what a lane's samples give.

   statmech_bn/online/chain/committee.py states the equations. Written ahead of this text, besides
   what lanes.cu names: UNITS, TEACHERS, SMALLEST_SQUARE (statmech_bn/online/chain/triangle.py), the
   flags BY_LENGTH (the step is made orthogonal to w) and LEARNED (the second layer), the functions
   value, value_and_slope, passed and grown, as for one unit, random_numbers.cu, lanes.cu. Matrices
   of few rows and columns are the same in all lanes. */

constexpr int DIRECTIONS = TEACHERS + UNITS, ACROSS = UNITS < BATCH_SIZE ? UNITS : BATCH_SIZE;
constexpr int PAIRS = (DIRECTIONS + NOISY + 1) / 2;

/* Z of a lane's samples, and their labels. */
struct Batch {
    double inputs[SLOTS][DIRECTIONS], label[SLOTS];
};

/* Components of all units, which are in blocks of one eigenvalue of the inputs each (one block, if
   inputs are isotropic): where blocks begin, the root of the eigenvalue of each component, the number
   of other directions in each block, and the teacher's fields' orthonormal rows. */
struct Layout {
    int components, blocks;
    const long long* begin;
    const double *root, *others, *orthonormal;
};

/* What a step of one learner is scaled by: eta s/N, eta_gamma s/N, eta_v s/N, and the decays. */
struct Rates {
    double unit, gamma_unit, readout_unit, gamma_decay, weight_decay;
};

/* c times eta/N of a lane's samples, and (eta/N) s_k. */
struct Gradient {
    double c[UNITS][SLOTS], turn[UNITS];
};

/* Sample m has the same numbers in whichever slot it is. */
__device__ inline void draw_batch(
    const Worker& worker, const Stream& stream, double label_noise, const double* teacher,
    const double* teacher_readout, Batch& batch
) {
    for (int slot = 0; slot < SLOTS; ++slot) {
        const unsigned int m = worker.lane * SLOTS + slot;
        double numbers[2 * PAIRS];
        for (int pair = 0; pair < PAIRS; ++pair)
            normals(draw(stream, FIELDS, PAIRS * m + pair), numbers + 2 * pair,
                    numbers + 2 * pair + 1);
        double label = NOISY ? label_noise * numbers[2 * PAIRS - 1] : 0.0;
        for (int n = 0; n < TEACHERS; ++n) {
            double field = 0.0, output;
            for (int j = 0; j <= n; ++j) field += teacher[n * TEACHERS + j] * numbers[j];
            value(field, &output);
            label += teacher_readout[n] * output;
        }
        for (int j = 0; j < DIRECTIONS; ++j) batch.inputs[slot][j] = numbers[j];
        batch.label[slot] = label;
    }
}

/* N(0, 1) numbers of the directions beside those of the fields, from a pair on. */
class Normals {
    const Stream& stream;
    unsigned int pair;
    bool drawn = false;
    double second = 0.0;

public:
    __device__ Normals(const Stream& stream, unsigned int pair) : stream(stream), pair(pair) {}
    __device__ double next() {
        double first = second;
        if (!drawn) normals(draw(stream, COMPONENTS, pair++), &first, &second);
        drawn = !drawn;
        return first;
    }
};

/* What is below the diagonal of A. */
__device__ inline void draw_below(Normals& numbers, double (&others)[ACROSS][ACROSS]) {
    for (int i = 0; i < ACROSS; ++i)
        for (int j = 0; j < ACROSS; ++j) others[i][j] = j < i ? numbers.next() : 0.0;
}

/* A_ii, for so many directions outside of the units'. */
__device__ inline double draw_diagonal(
    const Stream& stream, double directions, int i, unsigned int place
) {
    return sqrt(2.0 * standard_gamma(stream, 0.5 * (directions - i), place + i));
}

/* Normalizes a lane's fields by the statistics of each group; fills 1/sigma. */
__device__ inline void normalize(
    const Worker& worker, double (&fields)[SLOTS], double (&narrowing)[GROUPS]
) {
    for (int group = 0; group < GROUPS; ++group) {
        double mean = 0.0, variance = 0.0;
        for (int slot = 0; slot < SLOTS; ++slot)
            mean += holds(worker, slot, group) ? fields[slot] : 0.0;
        mean = sum_over_lanes(worker, mean) / GROUP;
        for (int slot = 0; slot < SLOTS; ++slot) {
            const double deviation = fields[slot] - mean;
            variance += holds(worker, slot, group) ? deviation * deviation : 0.0;
        }
        narrowing[group] = 1.0 / sqrt(sum_over_lanes(worker, variance) / GROUP);
        for (int slot = 0; slot < SLOTS; ++slot)
            if (holds(worker, slot, group))
                fields[slot] = (fields[slot] - mean) * narrowing[group];
    }
}

/* Computes c of a learner whose rows of C are `rows`; changes its gamma and v. */
__device__ inline void pull_back(
    const Worker& worker, const Batch& batch, const double (&rows)[UNITS][DIRECTIONS],
    const double (&spread)[UNITS], const Rates& rates, double (&scale)[UNITS],
    double (&readout)[UNITS], Gradient& gradient
) {
    double normalized[UNITS][SLOTS], values[UNITS][SLOTS], narrowing[UNITS][GROUPS], error[SLOTS];
    for (int slot = 0; slot < SLOTS; ++slot) error[slot] = batch.label[slot];
    for (int k = 0; k < UNITS; ++k) {
        for (int slot = 0; slot < SLOTS; ++slot) {
            double field = 0.0;
            for (int j = 0; j <= TEACHERS + k; ++j) field += rows[k][j] * batch.inputs[slot][j];
            normalized[k][slot] = SCALED && !OF_BATCH ? field / spread[k] : field;
        }
        for (int group = 0; group < GROUPS; ++group)
            narrowing[k][group] = SCALED ? 1.0 / spread[k] : 1.0;
        if (OF_BATCH) normalize(worker, normalized[k], narrowing[k]);
        for (int slot = 0; slot < SLOTS; ++slot) {
            double output[2];
            value_and_slope((SCALED ? scale[k] : 1.0) * normalized[k][slot], output);
            values[k][slot] = output[0];
            error[slot] -= readout[k] * output[0];
            gradient.c[k][slot] = readout[k] * output[1];
        }
    }
    for (int k = 0; k < UNITS; ++k) {
        const double factor = rates.unit / BATCH_SIZE * (SCALED ? scale[k] : 1.0);
        double pull = 0.0, towards = 0.0;
        for (int slot = 0; slot < SLOTS; ++slot) {
            const bool held = holds(worker, slot);
            gradient.c[k][slot] = held ? gradient.c[k][slot] * error[slot] : 0.0;
            towards += held ? error[slot] * values[k][slot] : 0.0;
        }
        for (int group = 0; group < GROUPS; ++group) {
            double mean = 0.0, along = 0.0;
            for (int slot = 0; slot < SLOTS; ++slot) {
                if (!holds(worker, slot, group)) continue;
                mean += gradient.c[k][slot];
                along += gradient.c[k][slot] * normalized[k][slot];
            }
            if (OF_BATCH) mean = sum_over_lanes(worker, mean) / GROUP;
            if (SCALED) along = sum_over_lanes(worker, along) / GROUP;
            pull += along / GROUPS;
            for (int slot = 0; slot < SLOTS; ++slot) {
                if (!holds(worker, slot, group)) continue;
                double c = gradient.c[k][slot];
                if (OF_BATCH) passed(c, mean, normalized[k][slot], along, &c);
                gradient.c[k][slot] = factor * narrowing[k][group] * c;
            }
        }
        gradient.turn[k] =
            BY_LENGTH ? rates.unit * scale[k] * pull / (spread[k] * spread[k]) : 0.0;
        if (SCALED) grown(scale[k], rates.gamma_unit, rates.gamma_decay, pull, &scale[k]);
        if (LEARNED)
            readout[k] += rates.readout_unit * sum_over_lanes(worker, towards) / BATCH_SIZE;
    }
}

/* The reflection that takes a row (first, rest) to (length, 0, ...): 1 - share (along, rest)
   (along, rest)^T, along = first - length without cancellation (Parlett 1971). */
struct Reflection {
    double length, along, share;
};

__device__ inline Reflection reflection(double first, double rest) {
    const double length = sqrt(first * first + rest);
    const double along = first <= 0.0 ? first - length : -rest / (first + length);
    const double square = along * along + rest;
    return {length, along, square > SMALLEST_SQUARE ? 2.0 / square : 0.0};
}

/* Turns rows into their lower triangular factor. */
__device__ inline void triangularize(double (&x)[UNITS][UNITS + ACROSS]) {
    for (int k = 0; k < UNITS; ++k) {
        double rest = 0.0;
        for (int j = k + 1; j < UNITS + ACROSS; ++j) rest += x[k][j] * x[k][j];
        const Reflection by = reflection(x[k][k], rest);
        for (int i = k + 1; i < UNITS; ++i) {
            double inner = by.along * x[i][k];
            for (int j = k + 1; j < UNITS + ACROSS; ++j) inner += x[k][j] * x[i][j];
            inner *= by.share;
            x[i][k] -= inner * by.along;
            for (int j = k + 1; j < UNITS + ACROSS; ++j) x[i][j] -= inner * x[k][j];
        }
        x[k][k] = by.length;
        for (int j = k + 1; j < UNITS + ACROSS; ++j) x[k][j] = 0.0;
    }
}

/* Fills B of c = B (orthonormal rows), lower triangular, or c itself if UNITS > BATCH_SIZE.
   The samples of c are shared by the lanes, and changed. */
__device__ inline void factorize(
    const Worker& worker, double (&c)[UNITS][SLOTS], double (&b)[UNITS][ACROSS]
) {
    const int first = worker.lane * SLOTS;
    auto entry = [&](int k, int m) {
        return sum_over_lanes(worker, m / SLOTS == worker.lane ? c[k][m % SLOTS] : 0.0);
    };
    for (int k = 0; k < UNITS; ++k)
        for (int m = 0; m < ACROSS; ++m) b[k][m] = UNITS > BATCH_SIZE ? entry(k, m) : 0.0;
    if (UNITS > BATCH_SIZE) return;
    for (int k = 0; k < ACROSS; ++k) {
        double rest = 0.0;
        for (int slot = 0; slot < SLOTS; ++slot)
            rest += first + slot > k ? c[k][slot] * c[k][slot] : 0.0;
        const Reflection by = reflection(entry(k, k), sum_over_lanes(worker, rest));
        b[k][k] = by.length;
        for (int i = k + 1; i < UNITS; ++i) {
            double inner = 0.0;
            for (int slot = 0; slot < SLOTS; ++slot)
                inner += first + slot > k ? c[k][slot] * c[i][slot] : 0.0;
            const double own = entry(i, k);
            inner = by.share * (by.along * own + sum_over_lanes(worker, inner));
            b[i][k] = own - inner * by.along;
            for (int slot = 0; slot < SLOTS; ++slot)
                c[i][slot] -= first + slot > k ? inner * c[k][slot] : 0.0;
        }
    }
}

/* The directions of a committee's chain on inputs with a covariance: components in blocks, G and A.

   statmech_bn/online/chain/committee_blocks.py states the equations; committee_samples.cu is ahead
   of this text, and DEPENDENT (statmech_bn/online/chain/committee_blocks_step.py) and the flag
   BY_COVARIANCE. A lane has every LANES-th block, and its numbers. */

/* Pairs of normal numbers of a block: G first. */
constexpr int ALONG = (ACROSS * DIRECTIONS + 1) / 2, OF_BLOCK = ALONG + (ACROSS * ACROSS + 1) / 2;

struct Directions {
    const Layout& layout;
    double* room;

    __device__ Directions(const Layout& layout, double* room) : layout(layout), room(room) {}

    /* Calls f(block) for the blocks of a lane, and f(j) for their components. */
    template <class F>
    __device__ void for_blocks(const Worker& worker, F f) const {
        for (int block = worker.lane; block < layout.blocks; block += LANES) f(block);
    }
    template <class F>
    __device__ void for_each(const Worker& worker, F f) const {
        for_blocks(worker, [&](int block) {
            for (long long j = layout.begin[block]; j < layout.begin[block + 1]; ++j) f(j);
        });
    }

    /* Room: the student's rows of O, G, S of a unit, and A of each block. */
    __device__ double* orthonormal(int k) const { return room + k * layout.components; }
    __device__ double* along(int i) const { return orthonormal(UNITS + i); }
    __device__ double* sums() const { return orthonormal(UNITS + ACROSS); }
    __device__ double* across(int block) const {
        return orthonormal(UNITS + ACROSS + 1) + block * ACROSS * ACROSS;
    }
    __device__ const double* row_of_orthonormal(int i) const {
        return i < TEACHERS ? layout.orthonormal + i * layout.components
                            : orthonormal(i - TEACHERS);
    }

    __device__ void draw_others(const Worker& worker, const Stream& stream) {
        for_blocks(worker, [&](int block) {
            const unsigned int first = block * OF_BLOCK;
            Normals numbers(stream, first), more(stream, first + ALONG);
            for (int i = 0; i < ACROSS; ++i)
                for (long long j = layout.begin[block]; j < layout.begin[block + 1]; ++j)
                    along(i)[j] = numbers.next();
            double a[ACROSS][ACROSS] = {};
            const double beyond = layout.others[block];
            if (beyond >= ACROSS) {
                draw_below(more, a);
                for (int i = 0; i < ACROSS; ++i)
                    a[i][i] = draw_diagonal(stream, beyond, i, block * ACROSS);
            } else {
                for (int i = 0; i < ACROSS; ++i)
                    for (int j = 0; j < beyond; ++j) a[i][j] = more.next();
            }
            for (int i = 0; i < ACROSS; ++i)
                for (int j = 0; j < ACROSS; ++j) across(block)[i * ACROSS + j] = a[i][j];
        });
    }

    /* Fills rows of Lambda, and of O in the room, by two passes of Gram and Schmidt; and what fields
       are divided by. */
    __device__ void look(
        const Worker& worker, const double* weights, double (&rows)[UNITS][DIRECTIONS],
        double (&spread)[UNITS]
    ) const {
        for (int k = 0; k < UNITS; ++k) {
            const double* x = weights + k * layout.components;
            double *own = orthonormal(k), length = 0.0, size = 0.0, rest = 0.0, variance = 0.0;
            for_each(worker, [&](int j) {
                own[j] = layout.root[j] * x[j];
                length += x[j] * x[j];
                size += own[j] * own[j];
            });
            length = sum_over_lanes(worker, length);
            size = sum_over_lanes(worker, size);
            for (int i = 0; i < DIRECTIONS; ++i) rows[k][i] = 0.0;
            for (int pass = 0; pass < 2; ++pass)
                for (int i = 0; i < TEACHERS + k; ++i) {
                    const double* other = row_of_orthonormal(i);
                    double common = 0.0;
                    for_each(worker, [&](int j) { common += own[j] * other[j]; });
                    common = sum_over_lanes(worker, common);
                    for_each(worker, [&](int j) { own[j] -= common * other[j]; });
                    rows[k][i] += common;
                }
            for_each(worker, [&](int j) { rest += own[j] * own[j]; });
            rest = sqrt(sum_over_lanes(worker, rest));
            /* the fields of a row that is rounding do not depend on a direction of its own */
            const bool independent = rest > DEPENDENT * sqrt(size);
            for_each(worker, [&](int j) { own[j] = independent ? own[j] / rest : 0.0; });
            rows[k][TEACHERS + k] = independent ? rest : 0.0;
            for (int i = 0; i < DIRECTIONS; ++i) variance += rows[k][i] * rows[k][i];
            spread[k] = sqrt(BY_LENGTH && !BY_COVARIANCE ? length : variance);
        }
    }

    /* Moves the components; returns the largest of the squared lengths. */
    __device__ double move(
        const Worker& worker, const Batch& batch, double keep, Gradient& gradient,
        const double (&)[UNITS][DIRECTIONS], double* weights
    ) const {
        double wanted[UNITS][DIRECTIONS], inner[UNITS][ACROSS], largest = 0.0, *s = sums();
        for (int k = 0; k < UNITS; ++k)
            for (int i = 0; i < DIRECTIONS; ++i) {
                double total = 0.0;
                for (int slot = 0; slot < SLOTS; ++slot)
                    total += gradient.c[k][slot] * batch.inputs[slot][i];
                wanted[k][i] = sum_over_lanes(worker, total);
            }
        factorize(worker, gradient.c, inner);
        for (int k = 0; k < UNITS; ++k) {
            double* x = weights + k * layout.components;
            for_each(worker, [&](int j) {
                s[j] = 0.0;
                for (int i = 0; i < ACROSS; ++i) s[j] += inner[k][i] * along(i)[j];
            });
            for (int i = 0; i < DIRECTIONS; ++i) {
                const double* direction = row_of_orthonormal(i);
                double found = 0.0;
                for_each(worker, [&](int j) { found += s[j] * direction[j]; });
                const double missing = wanted[k][i] - sum_over_lanes(worker, found);
                for_each(worker, [&](int j) { s[j] += missing * direction[j]; });
            }
            for_each(worker, [&](int j) {
                const double root = layout.root[j];
                const double turn = gradient.turn[k] * (BY_COVARIANCE ? root * root : 1.0);
                x[j] = (keep - turn) * x[j] + root * s[j];
            });
        }
        for_blocks(worker, [&](int block) { spread_out(block, inner, weights); });
        for (int k = 0; k < UNITS; ++k) {
            const double* x = weights + k * layout.components;
            double square = 0.0;
            for_each(worker, [&](int j) { square += x[j] * x[j]; });
            square = sum_over_lanes(worker, square);
            if (!(square <= largest)) largest = square;
        }
        return largest;
    }

    /* Moves the weights in the other directions of a block. */
    __device__ void spread_out(
        int block, const double (&inner)[UNITS][ACROSS], double* weights
    ) const {
        if (layout.others[block] == 0.0) return;
        const long long first = layout.begin[block] + TEACHERS;
        const double *others = across(block), root = layout.root[first];
        double moved[UNITS][UNITS + ACROSS];
        for (int k = 0; k < UNITS; ++k) {
            for (int j = 0; j < UNITS; ++j)
                moved[k][j] = weights[k * layout.components + first + j];
            for (int j = 0; j < ACROSS; ++j) {
                double total = 0.0;
                for (int i = 0; i < ACROSS; ++i) total += inner[k][i] * others[i * ACROSS + j];
                moved[k][UNITS + j] = root * total;
            }
        }
        triangularize(moved);
        for (int k = 0; k < UNITS; ++k)
            for (int j = 0; j < UNITS; ++j)
                weights[k * layout.components + first + j] = moved[k][j];
    }
};

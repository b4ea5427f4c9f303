// Float matmul by oneDNN, for products that are large enough to repay its
// blocking (see is_large() in src/ops/matmul.cc). The one kernel that
// allocates: oneDNN takes a packing buffer from the heap in each call (counted
// with 2.6.3), and may use OpenMP threads, which can change the order of sums
// along k.
#include <dnnl.h>

#include "kernels/matmul/matmul.h"

// sgemm cannot fail here: the sizes were checked when compiling, and every
// leading dimension is the length of a row.
void ft_matmul_f32_onednn(const void* params, const ft_args* args) {
  const auto& p = *static_cast<const ft_matmul_params*>(params);
  const auto* a = static_cast<const float*>(args->in[0]);
  const auto* b = static_cast<const float*>(args->in[1]);
  auto* c = static_cast<float*>(args->out[0]);
  for (int t = 0; t < p.batch; ++t) {
    dnnl_sgemm(p.trans_a ? 'T' : 'N', p.trans_b ? 'T' : 'N', p.m, p.n, p.k,
               p.alpha, a, p.trans_a ? p.m : p.k, b, p.trans_b ? p.k : p.n,
               0.0f, c, p.n);
    a += static_cast<ptrdiff_t>(p.m) * p.k;
    if (!p.broadcast_b) b += static_cast<ptrdiff_t>(p.k) * p.n;
    c += static_cast<ptrdiff_t>(p.m) * p.n;
  }
}

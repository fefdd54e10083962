// The kernels of one instruction set, by what is asked of them. Part of kernels.ipp.

template <class T>
inline constexpr row_kernels<T> row_table = {
    {accumulate_row<T, 0>, accumulate_row<T, every_feature>},
    {accumulate_columns<T, 0>, accumulate_columns<T, every_feature>},
    {write_gradient_row<T, 0>, write_gradient_row<T, 1>, write_gradient_row<T, 2>},
    {saving_kernel<T, -1>(), saving_kernel<T, 0>(), saving_kernel<T, 1>()},
    {saved_gradient_kernel<T, 0>(), saved_gradient_kernel<T, 1>()},
    write_gradient_columns<T>,
    soft_cap_row<T>,
    soft_cap_chain_row<T>};

template <class T>
inline constexpr divergence_kernels<T> divergence_table = {
    {accumulate_pair<T, forward_cross, false>, accumulate_pair<T, reverse_cross, false>},
    {accumulate_pair<T, forward_cross, true>, accumulate_pair<T, reverse_cross, true>,
     accumulate_pair<T, mixed_cross, true>},
    mix_pair<arithmetic<T>>,
    {write_pair_gradient<T, false>, write_pair_gradient<T, true>}};

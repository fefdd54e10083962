#pragma once

#include <emend/evaluation/evaluate.hpp>
#include <emend/libtorch/head/linear_scores.hpp>
#include <emend/libtorch/loss/tokens.hpp>
#include <emend/libtorch/loss/sequences.hpp>
#include <emend/libtorch/loss/autograd_node.hpp>
#include <emend/libtorch/loss/call.hpp>
#include <emend/libtorch/tensor/threads.hpp>

#include <string>

namespace emend::detail {

// How emend::loss comes to its value and gradient: on the host, by operations with some numbers a token on the host, or
// wholly on the scores' device.

template <class Loss>
bool wants_metrics(const tensor_loss_options& options) {
  return metric_count<Loss> > 0 && options.metrics;
}

/// Whether a loss can stay on the scores' device: what the options and the loss itself would need the host for. Terms:
/// what calls it there.
template <class Terms, class Loss>
bool stays_on_device(const Loss& l, const at::Tensor& scores, const at::Tensor& targets,
                     const tensor_loss_options& options) {
  const bool has_rows_of_its_own = options.rows.is_given() || options.links.is_given() ||
                                   options.kept.offsets.is_given() || options.transform.temperatures.is_given();
  const bool with_metrics = wants_metrics<Loss>(options), has_host_metrics = with_metrics && !Terms::has_metrics;
  if (has_rows_of_its_own || has_host_metrics || targets.numel() == 0) return false;
  const at::NoGradGuard no_graph;
  return Terms::can_be_called(l, scores.device(), with_metrics);
}

/// What term_plan checks, of that which the host knows. mask, weight: where they are 0 a token's id is not looked at.
template <class Loss>
void check_on_device(const Loss& l, const tensor_call& call, const column& mask, const column& weight,
                     const tensor_loss_options& options, index rows, index vocab) {
  const id_column& ids = call.targets;
  require_length("targets", ids.size(), rows);
  if (options.mask.is_given()) require_length("mask", call.options.mask.size(), rows);
  if (options.weight.is_given()) require_length("weight", call.options.weight.size(), rows);
  require_positive("normaliser", options.normaliser);
  check_transform(options.transform, rows);
  check_loss(l, rows);
  if (vocab < 1) fail("scores", "a vocabulary of at least 1", std::to_string(vocab));
  check_known_targets(call.targets, mask, weight, options.ignore_id, vocab);
}

/// What the caller gets of a loss that stayed on the device: its value, and the losses of the tokens.
template <class Loss>
at::Tensor report_on_device(const device_terms& terms, const at::Tensor& value, const at::Tensor& scores,
                            const at::Tensor& targets, const tensor_loss_options& options) {
  if (options.per_token) *options.per_token = terms.per_token().to(at::kFloat).view(targets.sizes());
  if (options.metrics)
    *options.metrics = wants_metrics<Loss>(options) ? terms.metrics().to(at::kFloat)
                                                    : at::empty({0}, scores.options().dtype(at::kFloat));
  return value.to(scores.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
}

/// run(scores, gradient or null) over the logits as the library takes them on their device, or by ATen's operations;
/// its result's value.
template <class Run>
at::Tensor loss_of_logits(const at::Tensor& logits, bool is_in_place, bool is_by_chain, const Run& run) {
  const at::TensorList inputs(logits);
  const bool is_wanted = wants_gradient(inputs);
  return loss_function::apply(inputs, [&, is_wanted](std::vector<at::Tensor>& gradients) {
    const at::Tensor x = logits.detach();
    const device_scores on_device{x};
    at::Tensor gradient;
    if (is_wanted) gradient = is_in_place ? x : backend<at::Tensor>::like(x);
    at::Tensor* const out = is_wanted ? &gradient : nullptr;
    const double value = is_by_chain || !x.is_cpu() ? run(on_device, out) : run(x, out);
    gradients[0] = gradient;
    return value_tensor(value, x);
  });
}

/// loss_of_tokens, loss_of_sequences, and below loss_of_product, where nothing comes back. mask: of the tokens;
/// leaves_out: empty, or weights of which 0 does as a mask's; make(terms): what calls the loss.
template <class Loss, class Make>
at::Tensor loss_of_logits_on_device(const Loss& l, const tensor_call& call, const column& mask,
                                    const column& leaves_out, const at::Tensor& logits, const at::Tensor& targets,
                                    const tensor_loss_options& options, const Make& make) {
  const head_shape shape = backend<device_scores>::shape({logits});
  check_on_device(l, call, mask, leaves_out, options, shape.rows, shape.vocab);
  const at::TensorList inputs(logits);
  const bool is_wanted = wants_gradient(inputs);
  return loss_function::apply(inputs, [&, is_wanted](std::vector<at::Tensor>& gradients) {
    const at::Tensor x = logits.detach();
    if (is_wanted) gradients[0] = options.is_in_place ? x : backend<at::Tensor>::like(x);
    const head_request request{
        {}, {}, nullptr, options.transform, options.kept, wants_log_sum_squares(l, call.options)};
    auto terms = make(device_terms(targets, mask, call.options.weight, options.ignore_id, options.normaliser,
                                   shape.vocab, x.device()));
    const at::Tensor value = loss_on_device(terms, x, request, is_wanted ? &gradients[0] : nullptr);
    return report_on_device<Loss>(terms, value, x, targets, options);
  });
}

template <class Loss>
at::Tensor loss_of_tokens(const Loss& l, const at::Tensor& logits, const at::Tensor& targets,
                          const tensor_loss_options& options, bool is_by_chain) {
  tensor_call call(logits, targets, options);
  if constexpr (loss_of_all_tokens<Loss>)
    if ((is_by_chain || !logits.is_cpu()) && stays_on_device<device_tokens<Loss>>(l, logits, targets, options))
      return loss_of_logits_on_device(
          l, call, call.options.mask, call.options.weight, logits, targets, options,
          [&](device_terms terms) { return device_tokens<Loss>(l, std::move(terms), wants_metrics<Loss>(options)); });
  return loss_of_logits(logits, options.is_in_place, is_by_chain, [&]<class X>(const X& x, at::Tensor* gradient) {
    const auto got = gradient ? evaluate_into(l, x, call.targets, call.options, *gradient, torch_threads{})
                              : evaluate_value(l, x, call.targets, call.options, torch_threads{});
    call.report(got, targets, options);
    return got.value;
  });
}

/// Two masks as one: a token counts where both say so, an empty one everywhere. On the host where both lie there, so
/// that ids can be checked.
struct joint_mask {
  std::vector<std::uint8_t> here;
  tensor_column there;
  column mask;

  joint_mask(const column& of_layout, const column& of_call, index tokens, const at::Device& device) {
    if (of_call.is_given()) require_length("mask", of_call.size(), tokens);
    const auto is_here = [](const column& values) { return !values.source<device_entries>(); };
    if (!of_layout.is_given() || !of_call.is_given()) {
      mask = !of_layout.is_given() ? of_call : of_layout;
    } else if (is_here(of_layout) && is_here(of_call)) {
      for (index t = 0; t < tokens; ++t) here.push_back(of_layout[t] != 0 && of_call[t] != 0);
      mask = here;
    } else {
      const tensor_terms all{0, tokens, device};
      there = tensor_column((column_on_device(of_layout, all) != 0).bitwise_and(column_on_device(of_call, all) != 0),
                            "mask");
      mask = there;
    }
  }
  joint_mask(const joint_mask&) = delete;
  joint_mask& operator=(const joint_mask&) = delete;
};

/// Rows of equal length, whose mask may lie on a device: what a loss of sequences can stay there with.
template <class L>
concept rows_of_tokens = std::derived_from<L, padded>;

template <class Loss, class L>
at::Tensor loss_of_sequences(const Loss& l, const at::Tensor& logits, const at::Tensor& targets, const L& layout,
                             const tensor_loss_options& options, bool is_by_chain) {
  tensor_call call(logits, targets, options);
  if constexpr (loss_of_all_sequences<Loss> && rows_of_tokens<L>) {
    const bool is_whole = layout.tokens() == targets.numel() && layout.sequences() > 0;
    if ((is_by_chain || !logits.is_cpu()) && is_whole &&
        stays_on_device<device_sequences<Loss>>(l, logits, targets, options)) {
      const joint_mask both(layout.mask(), call.options.mask, layout.tokens(), logits.device());
      const column& mask = both.mask;
      return loss_of_logits_on_device(l, call, mask, {}, logits, targets, options, [&](device_terms terms) {
        return device_sequences<Loss>(l, std::move(terms), layout.last(0) - layout.first(0),
                                      wants_metrics<Loss>(options));
      });
    }
  }
  return loss_of_logits(logits, options.is_in_place, is_by_chain, [&]<class X>(const X& x, at::Tensor* gradient) {
    const auto got = gradient
                         ? evaluate_sequences_into(l, x, call.targets, layout, call.options, *gradient, torch_threads{})
                         : evaluate_sequences_value(l, x, call.targets, layout, call.options, torch_threads{});
    call.report(got, targets, options);
    return got.value;
  });
}

template <class Loss>
at::Tensor loss_of_product_on_device(const Loss& l, const tensor_call& call, const at::Tensor& hidden,
                                     const at::Tensor& weight, const at::Tensor& targets,
                                     const tensor_loss_options& options) {
  const at::Tensor both[] = {hidden, weight};
  const at::TensorList inputs(both);
  const bool is_wanted = wants_gradient(inputs);
  const head_shape shape = backend<linear_scores<device_scores, device_scores>>::shape({{hidden}, {weight}});
  check_on_device(l, call, call.options.mask, call.options.weight, options, shape.rows, shape.vocab);
  return loss_function::apply(inputs, [&, is_wanted](std::vector<at::Tensor>& gradients) {
    const at::Tensor states = hidden.detach().reshape({-1, hidden.size(-1)});
    if (is_wanted) gradients = {backend<at::Tensor>::like(hidden.detach()), backend<at::Tensor>::like(weight.detach())};
    at::Tensor d_hidden = is_wanted ? at::empty_like(states) : at::Tensor();
    const head_request request{
        {}, {}, nullptr, options.transform, options.kept, wants_log_sum_squares(l, call.options)};
    device_tokens<Loss> tokens(l,
                               device_terms(targets, call.options.mask, call.options.weight, options.ignore_id,
                                            options.normaliser, shape.vocab, states.device()),
                               wants_metrics<Loss>(options));
    const at::Tensor value = loss_on_device(tokens, states, weight.detach(), request, is_wanted ? &d_hidden : nullptr,
                                            is_wanted ? &gradients[1] : nullptr);
    if (is_wanted) gradients[0].copy_(d_hidden.view(hidden.sizes()));
    return report_on_device<Loss>(tokens, value, states, targets, options);
  });
}

/// run(scores, gradient or null) over hidden times weight, as the library takes them on the host, or by ATen's
/// operations; its result's value.
template <class Run>
at::Tensor loss_of_linear_scores(const at::Tensor& hidden, const at::Tensor& weight, bool is_on_host, const Run& run) {
  const at::Tensor both[] = {hidden, weight};
  const at::TensorList inputs(both);
  const bool is_wanted = wants_gradient(inputs);
  return loss_function::apply(inputs, [&, is_wanted](std::vector<at::Tensor>& gradients) {
    const device_scores states{hidden.detach()}, rows{weight.detach()};
    const auto run_over = [&]<class X>(const X& x) {
      if (!is_wanted) return run(x, static_cast<gradient_type<X>*>(nullptr));
      gradient_type<X> gradient = backend<X>::like(x);
      const double value = run(x, &gradient);
      gradients = {gradient.d_hidden, gradient.d_weight};
      return value;
    };
    return value_tensor(
        is_on_host ? run_over(linear_scores{states.scores, rows.scores}) : run_over(linear_scores{states, rows}),
        hidden);
  });
}

/// The options of a call over linear scores.
inline tensor_call product_call(const at::Tensor& hidden, const at::Tensor& targets,
                                const tensor_loss_options& options) {
  if (options.is_in_place) fail("is_in_place", "logits to overwrite", "linear_scores");
  return tensor_call(hidden, targets, options);
}

template <class Loss>
at::Tensor loss_of_product(const Loss& l, const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                           const tensor_loss_options& options, bool is_by_chain) {
  tensor_call call = product_call(hidden, targets, options);
  const bool is_on_host = !is_by_chain && hidden.is_cpu() && weight.is_cpu();
  // Rows that the host knows to be masked are left out of the products, which is worth more.
  const bool has_known_mask = (options.mask.is_given() && !call.options.mask.source<device_entries>()) ||
                              (options.ignore_id && targets.is_cpu());
  if constexpr (loss_of_all_tokens<Loss>)
    if (!is_on_host && !has_known_mask && stays_on_device<device_tokens<Loss>>(l, hidden, targets, options))
      return loss_of_product_on_device(l, call, hidden, weight, targets, options);
  return loss_of_linear_scores(hidden, weight, is_on_host, [&]<class X>(const X& x, gradient_type<X>* gradient) {
    const auto got = gradient ? evaluate_into(l, x, call.targets, call.options, *gradient, torch_threads{})
                              : evaluate_value(l, x, call.targets, call.options, torch_threads{});
    call.report(got, targets, options);
    return got.value;
  });
}

template <class Loss, class L>
at::Tensor loss_of_product_sequences(const Loss& l, const at::Tensor& hidden, const at::Tensor& weight,
                                     const at::Tensor& targets, const L& layout, const tensor_loss_options& options,
                                     bool is_by_chain) {
  tensor_call call = product_call(hidden, targets, options);
  const bool is_on_host = !is_by_chain && hidden.is_cpu() && weight.is_cpu();
  return loss_of_linear_scores(hidden, weight, is_on_host, [&]<class X>(const X& x, gradient_type<X>* gradient) {
    const auto got = gradient
                         ? evaluate_sequences_into(l, x, call.targets, layout, call.options, *gradient, torch_threads{})
                         : evaluate_sequences_value(l, x, call.targets, layout, call.options, torch_threads{});
    call.report(got, targets, options);
    return got.value;
  });
}

}  // namespace emend::detail

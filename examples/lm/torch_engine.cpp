#include <lm/torch_engine.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>

namespace lm {

namespace {

template <class T>
constexpr at::ScalarType dtype = sizeof(T) == 4 ? at::kFloat : at::kDouble;

/// Every weight matrix as a tensor on the device, those that are one product as one, with where they stand in the flat
/// buffer.
template <class T>
class torch_weights {
 public:
  struct layer {
    at::Tensor attention_norm, query_key_value, output, feed_forward_norm, gate_up, down;
  };
  at::Tensor token_embedding, final_norm, classifier;
  std::vector<layer> layers;

  torch_weights(const weights<T>& w, const at::Device& device, bool is_differentiated)
      : first_(w.values().data()), device_(device), is_differentiated_(is_differentiated) {
    const config& c = w.shape();
    const auto take = [&](const auto& view, bool is_matrix) {
      const auto values =
          is_matrix ? std::vector<std::int64_t>{view.rows(), view.cols()} : std::vector<std::int64_t>{view.size()};
      return add(view.data(), values);
    };
    token_embedding = take(w.token_embedding(), true);
    for (int k = 0; k < c.layers; ++k)
      layers.push_back({take(w.attention_norm(k), false), take(w.query_key_value(k), true), take(w.output(k), true),
                        take(w.feed_forward_norm(k), false), take(w.gate_up(k), true), take(w.down(k), true)});
    final_norm = take(w.final_norm(), false);
    classifier = c.is_classifier_shared ? token_embedding : take(w.classifier(), true);
  }

  const std::vector<at::Tensor>& all() const { return all_; }
  /// d_w += the gradients of all(), of which some may be undefined.
  void add_gradients(const std::vector<at::Tensor>& gradients, weights<T>& d_w) const {
    for (std::size_t k = 0; k < gradients.size(); ++k) {
      if (!gradients[k].defined()) continue;
      const at::Tensor here = gradients[k].to(at::kCPU).contiguous();
      const T* from = here.template const_data_ptr<T>();
      T* to = d_w.values().data() + offsets_[k];
      for (std::int64_t i = 0; i < here.numel(); ++i) to[i] += from[i];
    }
  }

 private:
  at::Tensor add(const T* data, const std::vector<std::int64_t>& shape) {
    // Nothing writes through it: a gradient is taken, and the optimizer is the caller's.
    at::Tensor x = at::from_blob(const_cast<T*>(data), shape, at::TensorOptions().dtype(dtype<T>)).to(device_);
    if (is_differentiated_) x.requires_grad_();
    all_.push_back(x);
    offsets_.push_back(static_cast<std::size_t>(data - first_));
    return x;
  }

  const T* first_;
  at::Device device_;
  bool is_differentiated_;
  std::vector<at::Tensor> all_;
  std::vector<std::size_t> offsets_;
};

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain) {
  return x * at::rsqrt(x.square().mean(-1, true) + 1e-5) * gain;
}

at::Tensor feed_forward(const at::Tensor& x, const at::Tensor& norm, const at::Tensor& gate_up,
                        const at::Tensor& down) {
  const std::vector<at::Tensor> halves = at::linear(rms_norm(x, norm), gate_up).chunk(2, -1);
  return x + at::linear(at::silu(halves[0]) * halves[1], down);
}

template <class Id>
at::Tensor ids_on(const at::Device& device, const Id& ids) {
  std::vector<std::int64_t> wide(ids.begin(), ids.end());
  return at::tensor(wide, at::TensorOptions().dtype(at::kLong)).to(device);
}

/// Cosines and sines of each token's position, [N, 1, head_size / 2] each: see rotary_table.
template <class T>
struct rotation {
  at::Tensor cosine, sine;

  rotation(const std::vector<int>& depth, int head_size, const at::Device& device) {
    const auto pairs = static_cast<std::size_t>(head_size / 2);
    std::vector<T> c, s;
    for (const int position : depth)
      for (std::size_t pair = 0; pair < pairs; ++pair) {
        const double angle = position * std::pow(10000.0, -2.0 * static_cast<double>(pair) / head_size);
        c.push_back(static_cast<T>(std::cos(angle)));
        s.push_back(static_cast<T>(std::sin(angle)));
      }
    const auto tensor = [&](const std::vector<T>& of) {
      return at::tensor(of, at::TensorOptions().dtype(dtype<T>))
          .view({static_cast<std::int64_t>(depth.size()), 1, head_size / 2})
          .to(device);
    };
    cosine = tensor(c);
    sine = tensor(s);
  }

  /// x: [N, heads, head_size]; adjacent features form a pair.
  at::Tensor operator()(const at::Tensor& x) const {
    const at::Tensor pairs = x.unflatten(-1, {-1, 2}), a = pairs.select(-1, 0), b = pairs.select(-1, 1);
    return at::stack({a * cosine - b * sine, a * sine + b * cosine}, -1).flatten(-2);
  }
};

/// What each layer's queries, keys and values are: [N, heads, head_size], [N, key_value_heads, head_size] twice.
struct attention_tensors {
  at::Tensor query, key, value;
};
template <class T>
attention_tensors attention_of(const config& c, const at::Tensor& normed, const at::Tensor& weight,
                               const rotation<T>& rotate) {
  const at::Tensor all =
      at::linear(normed, weight).unflatten(-1, {-1, c.head_size()});  // [N, heads + 2 key_value_heads, head_size]
  const at::Tensor turned = rotate(all.narrow(1, 0, c.heads + c.key_value_heads));
  return {turned.narrow(1, 0, c.heads), turned.narrow(1, c.heads, c.key_value_heads),
          all.narrow(1, c.heads + c.key_value_heads, c.key_value_heads)};
}

template <class T>
void copy_out(const at::Tensor& from, T* to) {
  const at::Tensor here = from.detach().to(at::kCPU).contiguous();
  if (here.numel() > 0)
    std::memcpy(to, here.template const_data_ptr<T>(), sizeof(T) * static_cast<std::size_t>(here.numel()));
}

/// A packed batch as torch computes it: tokens in groups side by side, each filled up to the size of the largest. A
/// group is some small subtrees under one token, or a piece of a stem that more hangs from than a group holds; its keys
/// are the way from the root to it, and itself.
struct group_layout {
  std::int64_t groups = 0, queries = 0, keys = 0;  // queries, keys: of each group, filled up
  at::Tensor places, key_tokens,
      mask;  // [N] group * queries + number; [groups * keys]; [groups, 1, queries, keys], 0 or -inf

  group_layout(const batch& b, const std::vector<int>& depth, at::ScalarType type, const at::Device& device) {
    struct group {
      int parent;
      std::vector<int> tokens;
    };
    const std::size_t n = b.ids.size();
    std::vector<std::size_t> size(n, 1);
    for (std::size_t i = n; i-- > 0;)
      if (b.parent[i] >= 0) size[static_cast<std::size_t>(b.parent[i])] += size[i];
    const auto largest = static_cast<std::size_t>(std::max(32, 1 + *std::max_element(depth.begin(), depth.end())));
    std::vector<group> all;
    std::vector<std::size_t> of(n), number(n),
        open_under(n + 1, n);          // the group that small subtrees under a token, or under none, still join
    std::vector<std::size_t> planned;  // tokens that a group will have
    std::vector<char> is_continued(n, 0);
    for (std::size_t i = 0; i < n; ++i) {
      const int parent = b.parent[i];
      const auto above = static_cast<std::size_t>(std::max(parent, 0));
      const bool is_stem = size[i] > largest, hangs_from_stem = parent < 0 || size[above] > largest;
      const auto start = [&](std::size_t tokens) {
        of[i] = all.size();
        all.push_back({parent, {}});
        planned.push_back(tokens);
      };
      if (is_stem) {
        // One stem goes on above another's end; a second one that branches off is a group of its own.
        const bool goes_on = parent >= 0 && !is_continued[above] && all[of[above]].tokens.size() < largest;
        if (goes_on)
          of[i] = of[above], is_continued[above] = 1;
        else
          start(0);
      } else if (!hangs_from_stem) {
        of[i] = of[above];
      } else {
        std::size_t& open = open_under[static_cast<std::size_t>(parent + 1)];
        if (open < n && planned[open] + size[i] <= largest)
          of[i] = open, planned[open] += size[i];
        else
          start(size[i]), open = of[i];
      }
      number[i] = all[of[i]].tokens.size();
      all[of[i]].tokens.push_back(static_cast<int>(i));
    }
    groups = static_cast<std::int64_t>(all.size());
    for (const group& g : all) {
      queries = std::max(queries, static_cast<std::int64_t>(g.tokens.size()));
      keys = std::max(keys, static_cast<std::int64_t>(g.tokens.size()) +
                                (g.parent < 0 ? 0 : depth[static_cast<std::size_t>(g.parent)] + 1));
    }
    at::Tensor allowed = at::zeros({groups, queries, keys}, at::TensorOptions().dtype(at::kBool));
    bool* const first = allowed.data_ptr<bool>();
    std::vector<std::int64_t> place(n), key(static_cast<std::size_t>(groups * keys), 0);
    for (std::int64_t g = 0; g < groups; ++g) {
      const auto& [parent, tokens] = all[static_cast<std::size_t>(g)];
      const std::int64_t above = parent < 0 ? 0 : depth[static_cast<std::size_t>(parent)] + 1;
      std::int64_t* const of_group = key.data() + g * keys;
      for (int token = parent, at = static_cast<int>(above); token >= 0;
           token = b.parent[static_cast<std::size_t>(token)])
        of_group[--at] = token;
      for (std::size_t k = 0; k < tokens.size(); ++k) {
        const auto i = static_cast<std::size_t>(tokens[k]);
        const auto own = static_cast<std::int64_t>(k);
        of_group[above + own] = tokens[k];
        place[i] = g * queries + own;
        bool* const row = first + place[i] * keys;
        if (b.parent[i] == parent)
          std::fill_n(row, above, true);
        else
          std::copy_n(first + place[static_cast<std::size_t>(b.parent[i])] * keys, above + own, row);
        row[above + own] = true;
      }
      // What fills a group up attends to something, so that its softmax is a number.
      for (auto k = static_cast<std::int64_t>(tokens.size()); k < queries; ++k) first[(g * queries + k) * keys] = true;
    }
    places = ids_on(device, place);
    key_tokens = ids_on(device, key);
    mask = at::zeros({groups, queries, keys}, at::TensorOptions().dtype(type))
               .masked_fill(at::logical_not(allowed), -std::numeric_limits<double>::infinity())
               .unsqueeze(1)
               .to(device);
  }

  /// [N, heads, size] -> [groups, heads, queries, size], [groups, heads, keys, size]
  at::Tensor as_queries(const at::Tensor& x) const {
    return at::zeros({groups * queries, x.size(1), x.size(2)}, x.options())
        .index_copy(0, places, x)
        .view({groups, queries, x.size(1), x.size(2)})
        .transpose(1, 2);
  }
  at::Tensor as_keys(const at::Tensor& x) const {
    return x.index_select(0, key_tokens).view({groups, keys, x.size(1), x.size(2)}).transpose(1, 2);
  }
  /// [groups, heads, queries, size] -> [N, heads size]
  at::Tensor gather(const at::Tensor& x) const {
    return x.transpose(1, 2).reshape({groups * queries, -1}).index_select(0, places);
  }
};

template <class T>
class torch_pass : public engine<T>::pass {
 public:
  explicit torch_pass(const at::Device& device) : device_(device) {}

  void forward(const weights<T>& w, const batch& b, const std::vector<int>& depth, T* hidden, T* logits) override {
    weights_.reset();
    hidden_ = logits_ = at::Tensor();
    is_empty_ = b.row_count() == 0;
    if (is_empty_) return;
    const config& c = w.shape();
    weights_ = std::make_unique<torch_weights<T>>(w, device_, true);
    const group_layout layout(b, depth, dtype<T>, device_);
    const rotation<T> rotate(depth, c.head_size(), device_);
    const at::Tensor rows = ids_on(device_, b.rows);
    const auto repeat = [&](const at::Tensor& x) {
      return c.heads == c.key_value_heads ? x : x.repeat_interleave(c.heads / c.key_value_heads, 1);
    };
    at::Tensor x = weights_->token_embedding.index_select(0, ids_on(device_, b.ids));
    for (int k = 0; k < c.layers; ++k) {
      const auto& layer = weights_->layers[static_cast<std::size_t>(k)];
      const attention_tensors a = attention_of(c, rms_norm(x, layer.attention_norm), layer.query_key_value, rotate);
      const at::Tensor score = at::matmul(layout.as_queries(a.query), repeat(layout.as_keys(a.key)).transpose(-1, -2)) /
                               std::sqrt(static_cast<double>(c.head_size()));
      at::Tensor attended =
          layout.gather(at::matmul(at::softmax(score + layout.mask, -1), repeat(layout.as_keys(a.value))));
      if (k + 1 == c.layers) {
        x = x.index_select(0, rows);
        attended = attended.index_select(0, rows);
      }
      x = feed_forward(x + at::linear(attended, layer.output), layer.feed_forward_norm, layer.gate_up, layer.down);
    }
    hidden_ = rms_norm(x, weights_->final_norm);
    copy_out(hidden_, hidden);
    if (!logits) return;
    logits_ = at::linear(hidden_, weights_->classifier);
    copy_out(logits_, logits);
  }

  void backward(output_gradients<T> d_out, weights<T>& d_w) override {
    if (is_empty_) return;
    if (!weights_) throw std::logic_error("lm::backward: no forward pass, or its gradient has been taken");
    std::vector<at::Tensor> outputs, slopes;
    const auto add = [&](const T* slope, const at::Tensor& of) {
      if (!slope) return;
      outputs.push_back(of);
      slopes.push_back(
          at::from_blob(const_cast<T*>(slope), of.sizes(), at::TensorOptions().dtype(dtype<T>)).to(device_));
    };
    add(d_out.logits, logits_);
    add(d_out.hidden, hidden_);
    if (outputs.empty()) return;
    weights_->add_gradients(torch::autograd::grad(outputs, weights_->all(), slopes, false, false, true), d_w);
    weights_.reset();
    hidden_ = logits_ = at::Tensor();
  }

 private:
  at::Device device_;
  bool is_empty_ = false;  // the last forward asked for no row
  std::unique_ptr<torch_weights<T>> weights_;
  at::Tensor hidden_, logits_;
};

template <class T>
class torch_cache : public engine<T>::cache {
 public:
  explicit torch_cache(const at::Device& device) : device_(device) {}

  void advance(const weights<T>& w, int first, std::span<const int> ids, const std::vector<int>& depth,
               const std::vector<int>& path, int longest, std::span<const int> rows, T* hidden, T* logits) override {
    if (ids.empty()) return;
    const at::NoGradGuard no_graph;
    const config& c = w.shape();
    const torch_weights<T> on_device(w, device_, false);
    const auto count = static_cast<std::int64_t>(ids.size());
    const rotation<T> rotate(depth, c.head_size(), device_);
    const at::Tensor wanted = ids_on(device_, rows), nodes = ids_on(device_, path).view({count, longest});
    const at::Tensor nowhere =
        at::zeros({count, 1, 1, longest}, at::TensorOptions().dtype(dtype<T>).device(device_))
            .masked_fill(nodes.lt(0).view({count, 1, 1, longest}), -std::numeric_limits<double>::infinity());
    const at::Tensor safe_nodes = nodes.clamp_min(0);
    at::Tensor x = on_device.token_embedding.index_select(0, ids_on(device_, ids));
    reserve(c, first + count);
    for (int k = 0; k < c.layers; ++k) {
      const auto& layer = on_device.layers[static_cast<std::size_t>(k)];
      const bool is_last = k + 1 == c.layers;
      attention_tensors a = attention_of(c, rms_norm(x, layer.attention_norm), layer.query_key_value, rotate);
      kept_[static_cast<std::size_t>(k)].narrow(0, first, count).copy_(at::stack({a.key, a.value}, 1));
      const auto of_wanted = [&](const at::Tensor& t) { return is_last ? t.index_select(0, wanted) : t; };
      const at::Tensor at_nodes = of_wanted(safe_nodes), mask = of_wanted(nowhere);
      const std::int64_t queries = at_nodes.size(0);
      const at::Tensor kept = kept_[static_cast<std::size_t>(k)]
                                  .index_select(0, at_nodes.flatten())
                                  .view({queries, longest, 2, c.key_value_heads, c.head_size()});
      const at::Tensor key = kept.select(2, 0).permute({0, 2, 3, 1}), value = kept.select(2, 1).permute({0, 2, 1, 3});
      const at::Tensor query =
          of_wanted(a.query).reshape({queries, c.key_value_heads, c.heads / c.key_value_heads, c.head_size()});
      const at::Tensor weight =
          at::softmax(at::matmul(query, key) / std::sqrt(static_cast<double>(c.head_size())) + mask, -1);
      x = of_wanted(x) + at::linear(at::matmul(weight, value).reshape({queries, c.dim}), layer.output);
      x = feed_forward(x, layer.feed_forward_norm, layer.gate_up, layer.down);
    }
    const at::Tensor last = rms_norm(x, on_device.final_norm);
    copy_out(last, hidden);
    copy_out(at::linear(last, on_device.classifier), logits);
  }

 private:
  void reserve(const config& c, std::int64_t nodes) {
    kept_.resize(static_cast<std::size_t>(c.layers));
    for (at::Tensor& layer : kept_) {
      const std::int64_t before = layer.defined() ? layer.size(0) : 0;
      if (before >= nodes) continue;
      at::Tensor larger = at::zeros({2 * nodes, 2, c.key_value_heads, c.head_size()},
                                    at::TensorOptions().dtype(dtype<T>).device(device_));
      if (before > 0) larger.narrow(0, 0, before).copy_(layer);
      layer = std::move(larger);
    }
  }

  at::Device device_;
  std::vector<at::Tensor> kept_;  // a layer: [nodes, key and value, key_value_heads, head_size]
};

template <class T>
class torch_engine_of : public engine<T> {
 public:
  explicit torch_engine_of(const at::Device& device) : device_(device) {}
  std::unique_ptr<typename engine<T>::pass> new_pass() const override {
    return std::make_unique<torch_pass<T>>(device_);
  }
  std::unique_ptr<typename engine<T>::cache> new_cache() const override {
    return std::make_unique<torch_cache<T>>(device_);
  }

 private:
  at::Device device_;
};

}  // namespace

template <class T>
std::unique_ptr<engine<T>> torch_engine(const std::string& device) {
  const auto fail = [&](const char* why) -> std::runtime_error {
    return std::runtime_error("--device " + device + ": " + why);
  };
  std::optional<at::Device> found;
  try {
    found.emplace(device);
  } catch (const c10::Error&) {
    throw fail("no name of a device, like cpu, cuda, cuda:1");
  }
  try {
    // A device that is not there says so here and not in the midst of a run.
    (void)at::zeros({1}, at::TensorOptions().device(*found));
  } catch (const c10::Error&) {
    throw fail("LibTorch has no such device here");
  }
  at::set_num_threads(1);
  return std::make_unique<torch_engine_of<T>>(*found);
}
template std::unique_ptr<engine<float>> torch_engine(const std::string& device);
template std::unique_ptr<engine<double>> torch_engine(const std::string& device);

}  // namespace lm

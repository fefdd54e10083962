#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>

#include <vector>

namespace emend {

/// The fixed template of a sequence-to-sequence reward model: each separator precedes its part.
///   prompt_separator, prompt.., given_separator, given response.., target_separator, target response..
/// The paper leaves its template open; any three separators are equivalent for training from scratch (our choice).
struct seq2seq_template {
  index prompt_separator, given_separator, target_separator;
};

/// One supervised sequence: label[i] = ids[i+1] where that is a token of the target, else -1 (not scored). The first
/// label stands at the target separator; the target's end of sequence is a label like any other.
struct seq2seq_example {
  std::vector<index> ids, label;
  index target_start;  ///< position of target_separator: the row that predicts the target's first token
};

/// The example that rewrites `given` into `target` under the template.
inline seq2seq_example make_seq2seq_example(const seq2seq_template& form, id_column prompt, id_column given,
                                            id_column target) {
  seq2seq_example example;
  const auto append = [&](index separator, id_column part) {
    example.ids.push_back(separator);
    for (index i = 0; i < part.size(); ++i) example.ids.push_back(part[i]);
  };
  append(form.prompt_separator, prompt);
  append(form.given_separator, given);
  example.target_start = static_cast<index>(example.ids.size());
  append(form.target_separator, target);
  example.label.assign(example.ids.size(), -1);
  for (std::size_t i = static_cast<std::size_t>(example.target_start); i + 1 < example.ids.size(); ++i)
    example.label[i] = example.ids[i + 1];
  return example;
}

/// Correction mapping: the rejected response in, the chosen one out. arXiv 2409.00162, figure 2.
inline seq2seq_example correction_example(const seq2seq_template& form, id_column prompt, id_column chosen,
                                          id_column rejected) {
  return make_seq2seq_example(form, prompt, rejected, chosen);
}

/// Identity mapping: the chosen response in, the chosen one out. arXiv 2409.00162, figure 2.
inline seq2seq_example identity_example(const seq2seq_template& form, id_column prompt, id_column chosen) {
  return make_seq2seq_example(form, prompt, chosen, chosen);
}

/// The sequence whose one teacher-forced pass gives the rewards of a response: the response in, the response out. Rows
/// target_start .. target_start + T - 1 are those that `extract_rewards` takes.
inline seq2seq_example extraction_example(const seq2seq_template& form, id_column prompt, id_column response) {
  return make_seq2seq_example(form, prompt, response, response);
}

}  // namespace emend

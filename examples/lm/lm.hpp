#pragma once

// Everything of the examples' small language model.
#include <lm/adamw.hpp>
#include <lm/backtracking_model.hpp>
#include <lm/character_tokenizer.hpp>
#include <lm/checkpoint.hpp>
#include <lm/decode.hpp>
#include <lm/engine.hpp>
#include <lm/gradient.hpp>
#include <lm/key_value_cache.hpp>
#include <lm/llama2c_file.hpp>
#include <lm/piece_tokenizer.hpp>
#include <lm/tokenizer.hpp>
#include <lm/transformer.hpp>

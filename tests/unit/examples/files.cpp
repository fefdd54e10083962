// What the programs of examples/ read and write beside models: texts, results, pages.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <csignal>
#include <string_view>
#include <thread>

#include <common/result_lines.hpp>
#include <emend/core/random.hpp>
#include <seq2seq_rewards/data.hpp>
#include "small_model.hpp"

namespace {

using namespace std::string_view_literals;
using seq2seq::data_form;

/// The call throws std::runtime_error, one line that begins with the name and holds these words.
template <class Call>
void check_refused(Call&& call, const std::string& name, const std::string& words) {
  std::string message = "nothing was thrown";
  try {
    call();
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  CAPTURE(message);
  CHECK(message.find(name) == 0);
  CHECK(message.find(words) != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}

void put_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::size_t files_in(const temporary_folder& folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path)) ++count;
  return count;
}

std::string with_zeros(std::string_view text, bool is_big_endian) {
  std::string result;
  for (const char c : text) {
    if (is_big_endian) result += '\0';
    result += c;
    if (!is_big_endian) result += '\0';
  }
  return result;
}

TEST_CASE("a file is written whole: a new one, one in the place of another, one that a link leads to") {
  temporary_folder folder;
  const std::string path = folder / "page.html", link = folder / "link", far = folder / "far";
  common::write_whole(path, "first");
  CHECK(read_file(path) == "first");
  REQUIRE(chmod(path.c_str(), 0640) == 0);
  std::filesystem::create_symlink("page.html", link);
  common::write_whole(link, "second");
  CHECK(std::filesystem::is_symlink(link));
  CHECK(read_file(path) == "second");
  struct stat status{};
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
  std::filesystem::create_symlink("new.html", far);  // to what is not there yet
  common::write_whole(far, "third");
  CHECK(std::filesystem::is_symlink(far));
  CHECK(read_file(folder / "new.html") == "third");
  CHECK(files_in(folder) == 4);
  {
    common::whole_file file(path);
    file.write("given up");
  }
  CHECK(read_file(path) == "second");
  CHECK(files_in(folder) == 4);
}

TEST_CASE("a device is written to and stays one; a pipe and an open file are written to") {
  temporary_folder folder;
  check_refused([] { common::write_whole("/dev/full", "text"); },
                "/dev/full: cannot be written: ", "No space left on device");
  CHECK(std::filesystem::is_character_file("/dev/full"));
  common::write_whole("/dev/null", "text");
  CHECK(std::filesystem::is_character_file("/dev/null"));
  std::filesystem::create_symlink("/dev/full", folder / "link");
  check_refused([&] { common::write_whole(folder / "link", "text"); }, folder / "link", "No space left on device");
  CHECK(std::filesystem::is_symlink(folder / "link"));

  const std::string pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  std::string came;
  std::thread reader([&] { came = read_file(pipe); });
  common::write_whole(pipe, "through the pipe");
  reader.join();
  CHECK(came == "through the pipe");
  CHECK(std::filesystem::is_fifo(pipe));

  const std::string open_file = folder / "open";
  put_file(open_file, "before, ");
  const int number = open(open_file.c_str(), O_WRONLY | O_APPEND);
  REQUIRE(number >= 0);
  for (const char* descriptors : {"/dev/fd/", "/proc/self/fd/"})
    common::write_whole(descriptors + std::to_string(number), "more");
  REQUIRE(write(number, "!", 1) == 1);
  close(number);
  CHECK(read_file(open_file) == "before, moremore!");
}

TEST_CASE("what cannot be written is said before the work, and leaves nothing") {
  temporary_folder folder;
  const std::string nowhere = folder / "no/such/page.html", here = folder.path.string();
  put_file(folder / "file", "");
  for (const auto& [path, words] :
       std::vector<std::pair<std::string, std::string>>{{nowhere, "No such file or directory"},
                                                        {here, "Is a directory"},
                                                        {folder / "file/page.html", "Not a directory"}}) {
    check_refused([&, path = path] { common::check_writable(path, "--html"); },
                  "--html " + path + ": cannot be written: ", words);
    check_refused([&, path = path] { common::write_whole(path, "text"); }, path + ": cannot be written: ", words);
  }
  common::check_writable("", "--html");
  common::check_writable("/dev/null", "--html");
  common::check_writable("/dev/stdout", "--html");
  common::check_writable(folder / "page.html", "--html");
  CHECK(files_in(folder) == 1);
}

TEST_CASE("a file that outgrows its limit is an error like a full disk: nothing is left, what was there stays") {
  temporary_folder folder;
  const std::string path = folder / "page.html";
  put_file(path, "old");
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(3);
    try {
      common::write_whole(path, std::string(100000, 'x'));
      _exit(1);
    } catch (const std::runtime_error& error) {
      _exit(std::string_view(error.what()) == path + ": cannot be written: File too large" ? 0 : 2);
    }
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(read_file(path) == "old");
  CHECK(files_in(folder) == 1);
}

TEST_CASE("texts: plain or gzip, the mark of UTF-8 skipped once, UTF-16 and others refused") {
  temporary_folder folder;
  const std::string path = folder / "text";
  const auto text_of = [&](std::string_view bytes) {
    put_file(path, bytes);
    return common::read_text(path);
  };
  CHECK(text_of("w\xc3\xb6rd") == "w\xc3\xb6rd");
  CHECK(text_of("\xef\xbb\xbfword") == "word");
  CHECK(text_of("\xef\xbb\xbf\xef\xbb\xbfword") == "\xef\xbb\xbfword");
  CHECK(text_of("") == "");
  for (const bool is_big_endian : {false, true}) {
    const std::string mark = is_big_endian ? "\xfe\xff" : "\xff\xfe", bare = with_zeros("word", is_big_endian);
    check_refused([&] { text_of(mark + bare); }, path + ": is UTF-16; ", "iconv -f UTF-16 -t UTF-8");
    check_refused([&] { text_of(bare); }, path + ": is no text", is_big_endian ? "first at 0" : "first at 1");
  }
  check_refused([&] { text_of("\xff\xfe\0\0w\0\0\0"sv); }, path + ": is UTF-32; ", "iconv -f UTF-32");
  check_refused([&] { text_of("\0\0\xfe\xff\0\0\0w"sv); }, path + ": is UTF-32; ", "iconv -f UTF-32");
  check_refused([&] { text_of("caf\xe9 au lait"); }, path + ": is not UTF-8 at byte 3; ", "iconv");
  check_refused([&] { text_of("caf\xc3"); }, path + ": is not UTF-8 at byte 3; ", "iconv");
  check_refused([&] { common::read_text(folder.path.string()); }, folder.path.string() + ": ", "a directory");
  check_refused([&] { common::read_text("/dev/zero"); }, "/dev/zero: ", "not a regular file");
  check_refused([&] { common::read_text(folder / "none"); }, folder / "none: ", "no such file");

  const auto packed = [&](const std::string& bytes) {
    const gzFile file = gzopen(path.c_str(), "wb");
    REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) == static_cast<int>(bytes.size()));
    REQUIRE(gzclose(file) == Z_OK);
    return read_file(path);
  };
  const std::string whole = packed("\xef\xbb\xbfpacked words, and more of them");
  CHECK(common::read_text(path) == "packed words, and more of them");
  for (const std::size_t size : {whole.size() - 1, whole.size() / 2, std::size_t{12}}) {
    put_file(path, whole.substr(0, size));
    check_refused([&] { common::read_file(path); }, path + ": ", "damaged or not whole");
  }
  packed(std::string(1 << 20, 'a'));
  CHECK(common::read_file(path).size() == 1 << 20);
  packed(std::string(8 << 20, 'a'));
  check_refused([&] { common::read_file(path); }, path + ": ", "more than 200 times its size");
}

TEST_CASE("pairs with a byte order mark are of the form that they are without it") {
  for (const std::string mark : {"", "\xef\xbb\xbf"}) {
    CHECK(seq2seq::parse_data(mark + "{\"chosen\": \"a, b\", \"rejected\": \"b, a\"}\n", "p").form ==
          data_form::preferences);
    CHECK(seq2seq::parse_data(mark + "\n\n{\"before\": \"a, b\", \"after\": \"b, a\"}\n", "p").form ==
          data_form::edits);
    const auto words = seq2seq::parse_data(mark + "teh->the\n", "p");
    CHECK(words.form == data_form::codespell);
    CHECK(words.pairs.at(0).rejected == "teh");
    const auto table = seq2seq::parse_data(mark + "typo,right\r\nteh,the\r\n", "p");
    CHECK(table.form == data_form::table);
    CHECK(table.pairs.size() == 1);
    CHECK(table.pairs.at(0).chosen == "the");
  }
}

TEST_CASE("what is no list of pairs is refused by its name, not trained on as another form") {
  const auto refused = [](std::string_view bytes, const std::string& words) {
    check_refused([&] { seq2seq::parse_data(bytes, "pairs"); }, "pairs", words);
  };
  refused("[{\"chosen\": \"a, b\", \"rejected\": \"b, a\"}]", "JSON over several lines");
  refused("[\n  {\"chosen\": \"a\", \"rejected\": \"b\"}\n]", "JSON over several lines");
  refused("{\n  \"chosen\": \"a\",\n  \"rejected\": \"b\"\n}", "JSON over several lines");
  refused("\n\n{\"chosen\": \"a\", ", "line 3 is not a JSON object");
  refused("{\"chosen\": \"a\", \"rejected\": \"b\"}\n[1, 2]\n", "line 2 is not a JSON object");
  refused("{\"chosen\": \"caf\xe9\", \"rejected\": \"b\"}\n", "line 1 is not a JSON object");
  refused("{\"question\": \"a, b\"}\n", "none of the known forms");
  refused("\xff\xfe" + with_zeros("teh->the\n", false), "UTF-16");
  refused(with_zeros("teh,the\n", false), "zero byte");
  refused("", "is empty");
  refused("\xef\xbb\xbf \n\n", "is empty");
  refused("a,a\n", "no usable pair among 1 entries");
  refused("Once upon a time, there was a king.\nHe was old, as old as all the hills.\nodl,old\n",
          "only 1 of 3 lines are a pair of words");
  CHECK(seq2seq::parse_data("teh,the\nodl,old\nHe was old, he was very very old\n", "pairs").pairs.size() == 2);
  CHECK(seq2seq::parse_data("teh,the\nHe was old, he was very very old\n", "pairs").pairs.size() == 1);
  std::string deep = "{\"chosen\": \"a\", \"rejected\": \"b\", \"more\": ";
  for (int i = 0; i < 100000; ++i) deep += '[';
  for (int i = 0; i < 100000; ++i) deep += ']';
  refused(deep + "}", "line 1 is not a JSON object");
}

TEST_CASE("results: none is left by a run that did not end, and no empty file stops the next") {
  temporary_folder folder;
  const std::string path = folder / "results.jsonl";
  const nlohmann::json one{{"program", "p"}, {"steps", 1}}, two{{"program", "p"}, {"steps", 2}};
  {
    const common::result_lines unused(path, one, false);
  }
  CHECK_FALSE(std::filesystem::exists(path));
  const auto starts_anew = [&](std::string_view bytes) {
    put_file(path, bytes);
    common::result_lines results(path, two, false);
    CHECK(results.all().empty());
    CHECK(read_file(path) == bytes);
    results.put("a", {{"x", 1}});
    CHECK(common::result_lines(path, two, false).find("a")->at("x") == 1);
  };
  starts_anew("");
  starts_anew("\n \n");
  starts_anew(one.dump() + "\n");
  starts_anew(one.dump());

  const auto refused = [&](const std::string& bytes, const std::string& words) {
    put_file(path, bytes);
    check_refused([&] { common::result_lines(path, two, false); }, path, words);
    CHECK(read_file(path) == bytes);
  };
  const std::string a = "{\"arm\": \"a\"}\n";
  refused(one.dump() + "\n" + a, "its steps is 1, here it is 2; give another --results, or --fresh");
  refused("{\"program\": \"other\"}\n", "holds results of another run");
  refused("{\"prompt\": \"somebody's data\"}\n", "holds results of another run");
  refused("no results\n", "not a file of results; give another --results, or --fresh");
  refused(two.dump() + "\n{\"no\": \"arm\"}\n", "line 2 is no result of a run");
  refused(two.dump() + "\n{\"arm\": 7}\n", "line 2 is no result of a run");
  std::string deep = "{\"arm\": ";
  for (int i = 0; i < 200000; ++i) deep += '[';
  for (int i = 0; i < 200000; ++i) deep += ']';
  refused("{\"program\": " + deep.substr(8) + "}\n", "not a file of results");
  put_file(path, "\xef\xbb\xbf" + two.dump() + "\r\n" + a + deep + "}\n" +
                     std::string(40, '\0'));  // as after a fall of the power
  CHECK(common::result_lines(path, two, false).all().size() == 1);
  CHECK(common::result_lines(path, one, true).all().empty());

  check_refused([&] { common::result_lines("", two, false); }, "--results: ", "a file is wanted");
  check_refused([&] { common::result_lines("/dev/full", two, false); }, "/dev/full: ", "not a regular file");
  check_refused([&] { common::result_lines("/dev/zero", two, true); }, "/dev/zero: ", "not a regular file");
  check_refused([&] { common::result_lines(folder.path.string(), two, false); }, "--results " + folder.path.string(),
                "Is a directory");
  check_refused([&] { common::result_lines(folder / "no/file", two, false); }, "--results " + folder.path.string(),
                "No such file or directory");
}

TEST_CASE("a result that finds the disk full leaves the others whole") {
  temporary_folder folder;
  const std::string path = folder / "results.jsonl";
  const nlohmann::json head{{"program", "p"}};
  common::result_lines results(path, head, false);
  results.put("a", {{"x", 1}});
  const std::string before = read_file(path);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(3);
    try {
      results.put("b", {{"x", std::string(100000, 'x')}});
      _exit(1);
    } catch (const std::runtime_error& error) {
      _exit(std::string_view(error.what()).starts_with(path + ": cannot be written") ? 0 : 2);
    }
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(read_file(path) == before);
  CHECK(common::result_lines(path, head, false).all().size() == 1);
}

TEST_CASE("damaged at random: texts, pairs and results are read, or refused by an exception with the file's name") {
  temporary_folder folder;
  const std::string path = folder / "file";
  const emend::counter_random random{11};
  std::uint64_t draw = 0;
  const auto below = [&](std::size_t n) {
    return static_cast<std::size_t>(random.below(static_cast<emend::index>(n), 0, draw++));
  };
  const nlohmann::json head{{"program", "p"}, {"steps", 1}};
  std::string results = head.dump() + "\n";
  for (const char* arm : {"a", "b", "c"})
    results += nlohmann::json{{"arm", arm}, {"x", {1.5, nullptr, "t"}}}.dump() + "\n";
  const std::string forms[] = {"teh->the\nodl->old, disabled\n", "typo\tright\nteh\tthe|ten\n\"o\"\"dl\",old\n",
                               "{\"chosen\": \"a, b\", \"rejected\": \"b, a\"}\n{\"chosen\": \"c\", \"rejected\": "
                               "\"d\", \"prompt\": \"\\u00e9\"}\n",
                               "{\"source\": \"a\", \"corrections\": [\"b\", \"c\"]}\n", results};
  std::size_t loaded = 0, refused = 0;
  for (int round = 0; round < 4000; ++round) {
    CAPTURE(round);
    std::string bytes = forms[below(5)];
    for (std::size_t k = 0, count = below(4); k < count; ++k) switch (below(3)) {
        case 0:
          if (!bytes.empty()) bytes[below(bytes.size())] = static_cast<char>(below(256));
          break;
        case 1:
          bytes.insert(below(bytes.size() + 1), 1 + below(6), "\"{}[],\xef\t\n"[below(9)]);
          break;
        default:
          bytes.resize(below(bytes.size() + 1));
      }
    put_file(path, bytes);
    for (int reader = 0; reader < 3; ++reader) try {
        const std::size_t size = reader == 0   ? seq2seq::read_data(path).pairs.size()
                                 : reader == 1 ? common::read_text(path).size()
                                               : common::result_lines(path, head, false).all().size();
        CHECK(size <= bytes.size());
        ++loaded;
      } catch (const std::runtime_error& error) {
        ++refused;
        const std::string message = error.what();
        CAPTURE(message);
        REQUIRE(message.find(path) == 0);
      }
  }
  CHECK(loaded > 1000);
  CHECK(refused > 1000);
}

}  // namespace

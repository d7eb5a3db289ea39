// Reads the golden vectors of test/golden: safetensors files of float64 tensors, or float32 ones,
// whose metadata holds JSON.
#pragma once

#include <cctype>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/flow_description.h"

namespace golden {

/// A JSON value; the kinds that it is not are empty.
struct Json {
  double number = 0;  ///< also true
  std::string text;
  std::vector<Json> items;
  std::map<std::string, Json> members;

  const Json& at(const std::string& name) const { return members.at(name); }
  bool has(const std::string& name) const { return members.contains(name); }
  std::vector<int> integers() const {
    std::vector<int> values;
    for (const Json& item : items) values.push_back(static_cast<int>(item.number));
    return values;
  }
};

class JsonReader {
 public:
  explicit JsonReader(const std::string& text) : text_(text) {}

  Json read() {
    Json value;
    const char first = peek();
    if (first == '{') {
      for (char c = next(); c != '}' && peek() != '}'; c = next_mark()) {
        const std::string name = string();
        next_mark();  // the colon
        value.members[name] = read();
      }
      if (value.members.empty()) next_mark();
    } else if (first == '[') {
      for (char c = next(); c != ']' && peek() != ']'; c = next_mark())
        value.items.push_back(read());
      if (value.items.empty()) next_mark();
    } else if (first == '"') {
      value.text = string();
    } else {
      std::string word;
      while (at_ < text_.size() && (std::isalnum(text_[at_]) || std::strchr("+-.", text_[at_])))
        word += text_[at_++];
      value.number = word == "true" ? 1 : word == "false" || word == "null" ? 0 : std::stod(word);
    }
    return value;
  }

 private:
  char peek() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    return text_.at(at_);
  }
  char next() { return text_.at(at_++); }
  char next_mark() { return peek(), next(); }
  std::string string() {
    std::string value;
    next_mark();  // the opening quote
    for (char c = next(); c != '"'; c = next()) value += c == '\\' ? next() : c;
    return value;
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

inline Json parse(const std::string& text) { return JsonReader(text).read(); }

/// The flow that the metadata `shape` and `blocks` describe.
inline ffjord::FlowDescription describe(const std::string& shape, const std::string& blocks) {
  ffjord::FlowDescription flow;
  flow.shape = parse(shape).integers();
  for (const Json& block : parse(blocks).items) {
    const std::string& type = block.at("type").text;
    if (type == "cnf") {
      const Json& net = block.at("net");
      ffjord::Cnf cnf;
      cnf.time = block.at("time").number;
      cnf.train_time = true;
      cnf.net.hidden = net.at("hidden").integers();
      cnf.net.layer = ffjord::parse_layer(net.at("layer").text);
      cnf.net.activation = ffjord::parse_activation(net.at("activation").text);
      cnf.net.residual = net.has("residual") && net.at("residual").number != 0;
      if (net.has("strides"))
        for (int stride : net.at("strides").integers())
          cnf.net.convolutions.push_back(ffjord::find_convolution(stride).value());
      flow.blocks.push_back(cnf);
    } else if (type == "batch_norm") {
      flow.blocks.push_back(ffjord::BatchNorm{});
    } else if (type == "logit") {
      flow.blocks.push_back(ffjord::Logit{block.at("alpha").number});
    } else if (type == "squeeze") {
      flow.blocks.push_back(ffjord::Squeeze{});
    } else if (type == "split") {
      flow.blocks.push_back(ffjord::Split{});
    } else {
      throw std::runtime_error("unknown block type " + type);
    }
  }
  return flow;
}

/// One case: a flow, its weights and what comes out of it.
struct File {
  std::string name, trace;
  ffjord::FlowDescription flow;
  std::map<std::string, std::vector<double>> tensors;

  const std::vector<double>& at(const std::string& tensor) const { return tensors.at(tensor); }
  bool has(const std::string& tensor) const { return tensors.contains(tensor); }
};

/// What a file holds: its metadata, whose JSON stands in strings, and its tensors.
struct Content {
  Json metadata;
  std::map<std::string, std::vector<double>> tensors;
  std::map<std::string, std::vector<int>> shapes;
};

/// safetensors: the header's length (8 bytes, little endian), the header (JSON), the tensors'
/// bytes.
inline Content read_content(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  if (bytes.size() < 8) throw std::runtime_error("cannot read " + path);
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  const Json header = parse(bytes.substr(8, length));

  Content content{header.at("__metadata__"), {}, {}};
  for (const auto& [name, entry] : header.members) {
    if (name == "__metadata__") continue;
    const auto range = entry.at("data_offsets").items;
    const auto first = static_cast<std::size_t>(range[0].number);
    const auto end = static_cast<std::size_t>(range[1].number);
    const auto copy = [&]<class Number>(Number) {
      std::vector<Number> stored((end - first) / sizeof(Number));
      std::memcpy(stored.data(), bytes.data() + 8 + length + first, end - first);
      return std::vector<double>(stored.begin(), stored.end());
    };
    const std::string& type = entry.at("dtype").text;
    if (type != "F64" && type != "F32") throw std::runtime_error(name + " is " + type);
    std::vector<double> values = type == "F64" ? copy(double()) : copy(float());
    content.tensors[name] = std::move(values);
    content.shapes[name] = entry.at("shape").integers();
  }
  return content;
}

inline File read(const std::string& path) {
  Content content = read_content(path);
  const Json& metadata = content.metadata;
  return {metadata.at("name").text, metadata.at("trace").text,
          describe(metadata.at("shape").text, metadata.at("blocks").text),
          std::move(content.tensors)};
}

}  // namespace golden

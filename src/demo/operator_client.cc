// SPDX-License-Identifier: Apache-2.0
#include "demo/operator_client.h"

#include <future>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "config/paths.h"
#include "node/signers.h"

namespace evercert::demo {

using nlohmann::json;

Result<std::unique_ptr<OperatorClient>> OperatorClient::create(const config::ClusterConfig& config) {
  std::unique_ptr<OperatorClient> client(new OperatorClient(config));
  const config::Paths paths(config.dir);
  EC_ASSIGN(client->token_, node::read_text_file(paths.operator_token()));
  EC_ASSIGN(client->client_, net::HttpClient::create({"", {"", "", paths.root_certificate()}, 16, 30s}));
  client->executor_ = os::ThreadExecutor::start("operator");
  return client;
}

OperatorClient::~OperatorClient() { executor_.reset(); }

Result<net::HttpResponse> OperatorClient::ask_edge(std::size_t r, const std::string& path) {
  const auto& edge = config_.regions[r].edges.front();
  net::HttpCall call;
  call.target = {edge.address, edge.https_port, true, edge.address};
  call.path = path;
  call.timeout = 5s;
  return ask(std::move(call));
}

Result<net::HttpResponse> OperatorClient::ask_node(std::size_t r, std::size_t n, const std::string& path) {
  const auto& node = config_.regions[r].nodes[n];
  net::HttpCall call;
  call.target = {node.address, node.status_port, false, ""};
  call.path = path;
  call.timeout = 2s;
  call.connect_timeout = 500ms;
  return ask(std::move(call));
}

Result<net::HttpResponse> OperatorClient::ask(net::HttpCall call) {
  call.headers.set("Authorization", "Bearer " + token_);
  std::promise<Result<net::HttpResponse>> answered;
  spawn(client_->fetch(*executor_, std::move(call)),
        [&](Result<net::HttpResponse> r) { answered.set_value(std::move(r)); });
  return answered.get_future().get();
}

Result<std::map<std::string, std::string>> OperatorClient::list_store(std::size_t r, std::size_t n) {
  std::map<std::string, std::string> stored;
  std::string cursor;
  do {
    const auto response = ask_node(r, n, "/v1/certificates?limit=1000" + (cursor.empty() ? "" : "&cursor=" + cursor));
    if (!response || response->status != 200)
      return fail(Code::kUnavailable, "the store of " + config_.regions[r].name + " cannot be listed");
    const auto document = json::parse(response->body, nullptr, false);
    for (const auto& c : document.value("certificates", json::array())) {
      EC_ASSIGN(const auto serial, from_hex(c.value("serial", "")));
      stored[serial] = c.value("status", "");
    }
    cursor = document.contains("next_cursor") && document["next_cursor"].is_string()
                 ? document["next_cursor"].get<std::string>()
                 : "";
  } while (!cursor.empty());
  return stored;
}

}  // namespace evercert::demo

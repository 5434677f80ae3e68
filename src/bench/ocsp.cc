// SPDX-License-Identifier: Apache-2.0
// OCSP by GET at the node and at the edge, beside nginx with the same bytes.
#include "pki/ocsp.h"

#include "base/encoding.h"
#include "bench/peers.h"
#include "bench/workbench.h"
#include "config/paths.h"
#include "pki/pem.h"

namespace evercert::bench {
namespace {

using nlohmann::json;

Result<std::string> issue_one(const Workbench& bench) {
  EC_ASSIGN(auto load, bench.issue_load(1));
  load.seconds = 1;
  EC_TRY(run_wrk(load, bench.dir));
  EC_ASSIGN(const auto listed, bench.cluster->client().ask_edge(0, "/v1/certificates?limit=1"));
  const auto document = json::parse(listed.body, nullptr, false);
  if (!document.is_object() || document.value("certificates", json::array()).empty())
    return fail(Code::kInternal, "no certificate to ask about: " + listed.body.substr(0, 200));
  EC_ASSIGN(auto serial, from_hex(document["certificates"][0].value("serial", "")));
  return serial;
}

struct Question {
  std::string path, response;
};
Result<Question> ask(const Workbench& bench) {
  const auto& config = bench.cluster->config();
  EC_ASSIGN(const auto serial, issue_one(bench));
  EC_ASSIGN(const auto pem, read_file(os::disk(), config::Paths(config.dir).issuer(config.regions.front().name)));
  EC_ASSIGN(const auto ders, pki::from_pem("CERTIFICATE", pem));
  EC_ASSIGN(const auto request, pki::make_ocsp_request(ders.front(), serial));
  Question question{"/ocsp/", {}};
  for (const char c : to_base64(request))
    question.path += c == '+' ? "%2B" : c == '/' ? "%2F" : c == '=' ? "%3D" : std::string(1, c);
  EC_ASSIGN(auto response, bench.cluster->client().ask_node(0, 0, question.path));
  EC_TRY(pki::read_ocsp_response(response.body, ders.front(), serial));
  question.response = std::move(response.body);
  return question;
}

}  // namespace

Status ocsp(Workbench& bench) {
  std::string body;  // of our answer, for nginx
  const auto measure = [&](bool at_edge, int at_once) -> Result<std::optional<Rate>> {
    EC_TRY(bench.start_cluster("ocsp", false));
    EC_ASSIGN(auto question, ask(bench));
    body = std::move(question.response);
    const auto& region = bench.cluster->config().regions.front();
    const auto& node = region.nodes.front();
    const auto& edge = region.edges.front();
    const std::string place = at_edge ? edge.address + ":" + std::to_string(edge.http_port)
                                      : node.address + ":" + std::to_string(node.status_port);
    EC_ASSIGN(const Rate rate,
              run_wrk({"http://" + place + question.path, at_once, bench.options.seconds, "", "", 200}, bench.dir));
    bench.cluster.reset();
    return std::optional(rate);
  };
  const std::vector<Contender> contenders{
      {"evercert_node", "Evercert, GET at the node", true, [&](int at_once) { return measure(false, at_once); }},
      {"evercert_edge", "Evercert, GET at the edge", true, [&](int at_once) { return measure(true, at_once); }},
      {"nginx", "nginx, the same bytes", false, [&](int at_once) -> Result<std::optional<Rate>> {
         EC_ASSIGN(const auto nginx, start_nginx(bench.dir + "/nginx", body));
         if (!nginx) return std::optional<Rate>{};
         EC_ASSIGN(const Rate rate,
                   run_wrk({"http://127.0.0.1:9080/body", at_once, bench.options.seconds, "", "", 200}, bench.dir));
         return std::optional(rate);
       }}};
  return compare(bench, {64}, contenders, bench.results["ocsp"]);
}

}  // namespace evercert::bench

// SPDX-License-Identifier: Apache-2.0
#include "bench/peers.h"

#include <fstream>

namespace evercert::bench {
namespace {

using nlohmann::json;

// A root and an issuing certificate with keys in files, as these servers want them.
Status make_pki(const std::string& dir) {
  EC_TRY(os::disk().make_dirs(dir));
  const std::string openssl = find_program("openssl");
  if (openssl.empty()) return fail(Code::kUnavailable, "openssl is not installed");
  const auto run = [&](std::vector<std::string> arguments) -> Status {
    arguments.insert(arguments.begin(), openssl);
    EC_TRY(run_tool(arguments, dir + "/openssl.log", 20s));
    return {};
  };
  const auto key = [&](const std::string& name) {
    return run({"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", dir + "/" + name});
  };
  EC_TRY(key("root.key"));
  EC_TRY(key("int.key"));
  EC_TRY(key("provisioner.key"));
  EC_TRY(run({"req", "-x509", "-new", "-key", dir + "/root.key", "-subj", "/CN=peer root", "-days", "30", "-out",
              dir + "/root.crt", "-addext", "keyUsage=critical,keyCertSign,cRLSign"}));
  EC_TRY(run({"req", "-new", "-key", dir + "/int.key", "-subj", "/CN=peer issuer", "-out", dir + "/int.csr"}));
  std::ofstream(dir + "/int.ext") << "basicConstraints=critical,CA:TRUE,pathlen:0\n"
                                     "keyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";
  return run({"x509", "-req", "-in", dir + "/int.csr", "-CA", dir + "/root.crt", "-CAkey", dir + "/root.key", "-days",
              "30", "-CAcreateserial", "-extfile", dir + "/int.ext", "-out", dir + "/int.crt"});
}

Result<demo::Process> serve(std::vector<std::string> command, const std::string& log, int port) {
  const OnCore server(kServerCore);
  EC_ASSIGN(auto process, demo::Process::start_program(std::move(command), log, {}, 0));
  if (const Status up = wait_for_port("127.0.0.1", port, 20s); !up)
    return fail(up.error().code, up.error().message + "; " + process.log_tail());
  return process;
}

}  // namespace

Result<std::optional<Peer>> start_step_ca(const std::string& peers, const std::string& dir, int seconds) {
  const std::string program = find_program("step-ca", peers), tool = find_program("acmeload", peers);
  if (program.empty() || tool.empty()) return std::optional<Peer>{};
  EC_TRY(make_pki(dir));
  const std::string base = "https://127.0.0.1:9443";
  Peer peer;
  peer.bodies = dir + "/tokens";
  peer.bodies_used_up = true;
  // Each is taken once.
  EC_TRY(run_tool({tool, "-step-tokens", peer.bodies, "-key", dir + "/provisioner.key", "-audience", base + "/1.0/sign",
                   "-n", std::to_string(1500 * seconds)},
                  dir + "/tokens.log", 60s));
  EC_ASSIGN(const auto jwk, read_file(os::disk(), peer.bodies + ".jwk"));
  const json config{{"root", dir + "/root.crt"},
                    {"crt", dir + "/int.crt"},
                    {"key", dir + "/int.key"},
                    {"address", "127.0.0.1:9443"},
                    {"dnsNames", {"127.0.0.1"}},
                    {"logger", {{"format", "text"}}},
                    {"db", {{"type", "badgerv2"}, {"dataSource", dir + "/db"}}},
                    {"authority",
                     {{"provisioners",
                       {{{"type", "JWK"}, {"name", "bench"}, {"key", json::parse(jwk)}},
                        {{"type", "ACME"}, {"name", "acme"}, {"challenges", {"http-01"}}}}}}}};
  std::ofstream(dir + "/ca.json") << config.dump(2);
  EC_ASSIGN(peer.process, serve({program, "--insecure", "--acme-http-port", std::to_string(demo::kHttp01Port),
                                 "--resolver", "127.0.0.1:5353", dir + "/ca.json"},
                                dir + "/step-ca.log", 9443));
  peer.sign_url = base + "/1.0/sign";
  peer.acme_directory = base + "/acme/acme/directory";
  return std::optional(std::move(peer));
}

Result<std::optional<Peer>> start_cfssl(const std::string& peers, const std::string& dir) {
  const std::string program = find_program("cfssl", peers);
  if (program.empty()) return std::optional<Peer>{};
  EC_TRY(make_pki(dir));
  Peer peer;
  peer.bodies = dir + "/bodies";
  EC_TRY(write_bodies(peer.bodies, true));
  std::ofstream(dir + "/conf.json")
      << R"({"signing":{"default":{"expiry":"24h","usages":["signing","digital signature","server auth"]}}})";
  EC_ASSIGN(peer.process, serve({program, "serve", "-address", "127.0.0.1", "-port", "8888", "-ca", dir + "/int.crt",
                                 "-ca-key", dir + "/int.key", "-config", dir + "/conf.json", "-loglevel", "5"},
                                dir + "/cfssl.log", 8888));
  peer.sign_url = "http://127.0.0.1:8888/api/v1/cfssl/sign";
  return std::optional(std::move(peer));
}

Result<std::optional<demo::Process>> start_nginx(const std::string& dir, const std::string& body) {
  const std::string program = find_program("nginx");
  if (program.empty()) return std::optional<demo::Process>{};
  EC_TRY(os::disk().make_dirs(dir + "/www"));
  std::ofstream(dir + "/www/body", std::ios::binary) << body;
  // Without a master, whose worker would outlive it when it is killed.
  std::ofstream(dir + "/nginx.conf") << "daemon off; master_process off; pid " << dir << "/nginx.pid; error_log " << dir
                                     << "/error.log;\nevents { worker_connections 1024; }\nhttp { access_log off; "
                                        "keepalive_requests 100000000; open_file_cache max=10;\n"
                                        "default_type application/ocsp-response; server { listen 127.0.0.1:9080; root "
                                     << dir << "/www; } }\n";
  EC_ASSIGN(auto process,
            serve({program, "-c", dir + "/nginx.conf", "-e", dir + "/error.log"}, dir + "/nginx.log", 9080));
  return std::optional(std::move(process));
}

}  // namespace evercert::bench

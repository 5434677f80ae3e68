// SPDX-License-Identifier: Apache-2.0
// Completion for shells, from the same tree of commands that parses them.
#include <CLI/CLI.hpp>
#include <iostream>

#include "commands.h"

namespace evercert::apps {
namespace {

std::string words_of(const CLI::App& app) {
  std::string words;
  for (const auto* sub : app.get_subcommands({})) words += sub->get_name() + " ";
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) words += "--" + name + " ";
  }
  return words;
}

void print_cases(const CLI::App& app, const std::string& path, const char* set) {
  std::cout << "    '" << path << "') " << set << "'" << words_of(app) << "' ;;\n";
  for (const auto* sub : app.get_subcommands({})) print_cases(*sub, path + " " + sub->get_name(), set);
}

void print_script(const CLI::App& app, const std::string& shell) {
  if (shell == "fish") {
    for (const auto* sub : app.get_subcommands({})) {
      std::cout << "complete -c evercert -n __fish_use_subcommand -a " << sub->get_name() << "\n";
      for (const auto* option : sub->get_options()) {
        for (const auto& name : option->get_lnames()) {
          std::cout << "complete -c evercert -n '__fish_seen_subcommand_from " << sub->get_name() << "' -l " << name
                    << "\n";
        }
      }
    }
    return;
  }
  if (shell == "zsh") std::cout << "autoload -Uz bashcompinit && bashcompinit\n";
  std::cout
      << "_evercert() {\n  local path=evercert words= i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do [[ ${COMP_WORDS[i]} != -* ]] && path+=\" ${COMP_WORDS[i]}\"; done\n"
         "  case \"$path\" in\n";
  print_cases(app, "evercert", "words=");
  std::cout << "  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o "
               "default -F _evercert evercert\n";
}

}  // namespace

void register_completion(CLI::App& app, int&) {
  auto* command = app.add_subcommand("completion", "Print a completion script: source <(evercert completion bash)");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, shell] { print_script(app, *shell); });
}

}  // namespace evercert::apps

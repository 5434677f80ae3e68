// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/channel_arguments.h>

#include <string>

namespace evercert::net {

// Outgoing connections of the channel come from `address` (IPv4).
void bind_source_address(grpc::ChannelArguments& arguments, const std::string& address);

}  // namespace evercert::net

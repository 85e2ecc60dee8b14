#include "wire.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "rpcheader.pb.h"

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

std::string requestFrame(const std::string& service, const std::string& method,
                         const google::protobuf::Message& args) {
  const std::string body = args.SerializeAsString();
  RPC::RpcHeader header;
  header.set_service_name(service);
  header.set_method_name(method);
  header.set_args_size(static_cast<uint32_t>(body.size()));
  const std::string head = header.SerializeAsString();
  std::string frame;
  {
    StringOutputStream stream(&frame);
    CodedOutputStream output(&stream);
    output.WriteVarint32(static_cast<uint32_t>(head.size()));
    output.WriteString(head);
    output.WriteString(body);
  }
  return frame;
}

std::optional<Request> firstRequest(const char* data, size_t size) {
  CodedInputStream input(reinterpret_cast<const uint8_t*>(data), static_cast<int>(size));
  uint32_t headSize = 0;
  std::string head;
  if (!input.ReadVarint32(&headSize) || !input.ReadString(&head, static_cast<int>(headSize)))
    return std::nullopt;
  RPC::RpcHeader header;
  if (!header.ParseFromString(head)) return std::nullopt;
  Request request{header.service_name(), header.method_name(), ""};
  if (!input.ReadString(&request.args, static_cast<int>(header.args_size()))) return std::nullopt;
  return request;
}

#include "service/request_buffer.h"

#include <gtest/gtest.h>

#include <vector>

namespace ft::service {
namespace {

const std::string kGet = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const std::string kPost =
    "POST /v1/use HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";

struct Outcome {
  std::vector<std::string> requests;
  int refused = 0;
};

Outcome feed(const std::string& bytes, size_t piece,
             const RequestLimits& limits = {}) {
  RequestBuffer buffer(limits);
  Outcome outcome;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    buffer.add(std::string_view(bytes).substr(at, piece));
    while (auto request = buffer.take())
      outcome.requests.push_back(request->text);
  }
  if (buffer.refused()) outcome.refused = buffer.refused()->status;
  return outcome;
}

TEST(RequestBuffer, CutsTheSameRequestsHoweverTheyCome) {
  const std::string all = kGet + kPost + kGet + kPost;
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}, all.size()}) {
    const Outcome outcome = feed(all, piece);
    EXPECT_EQ(outcome.refused, 0);
    EXPECT_EQ(outcome.requests,
              (std::vector<std::string>{kGet, kPost, kGet, kPost}));
  }
}

TEST(RequestBuffer, RefusesWhatTwoReadersMightReadDifferently) {
  const auto with = [](const std::string& fields) {
    return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n\r\n{}";
  };
  const std::pair<std::string, int> cases[] = {
      {with("Content-Length: 2\r\nContent-Length: 2"), 400},
      {with("Content-Length: +2"), 400},
      {with("Content-Length: 0x2"), 400},
      {with("Content-Length: 2,2"), 400},
      {with("Content-Length:"), 400},
      {with("Content-Length : 2"), 400},
      {with(" Content-Length: 2"), 400},
      {with("Content-Length: 2\r\n folded"), 400},
      {with("Content-Length: 2\rX: 1"), 400},
      {with("Content-Length: 99999999999999999999"), 413},
      {with("Transfer-Encoding: chunked"), 411},
      {with("transfer-encoding: identity"), 411},
      {with("Content-Encoding: gzip"), 415},
      {with("Expect: tea"), 417},
      {with("Host: b"), 400},
      {"POST / HTTP/1.1\r\n\r\n", 400},
      {"POST / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
      {"POST  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"POST / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"\r\n" + kGet, 400},
  };
  for (const auto& [bytes, status] : cases)
    for (const size_t piece : {size_t{1}, bytes.size()})
      EXPECT_EQ(feed(bytes, piece).refused, status) << bytes;
}

TEST(RequestBuffer, HoldsItsLimits) {
  const RequestLimits limits{.head_bytes = 100, .body_bytes = 10};
  const auto with_body = [](size_t bytes) {
    return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " +
           std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, ' ');
  };
  EXPECT_EQ(feed(with_body(10), 1, limits).requests.size(), 1u);
  EXPECT_EQ(feed(with_body(11), 1, limits).refused, 413);
  EXPECT_EQ(feed(std::string(1000, 'a'), 1, limits).refused, 431);
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const std::string end = "\r\n\r\n";
  const size_t rest = limits.head_bytes - head.size() - end.size();
  EXPECT_EQ(feed(head + std::string(rest, 'x') + end, 1, limits).refused, 0);
  EXPECT_EQ(feed(head + std::string(rest + 1, 'x') + end, 1, limits).refused,
            431);
}

TEST(RequestBuffer, TakesOutWhatTheLibraryNeedNotSee) {
  RequestBuffer buffer({});
  buffer.add(
      "GET / HTTP/1.1\r\nhost: a\r\nRange: bytes=0-1\r\nAccept-Encoding: "
      "gzip\r\nX:  kept \r\nConnection: close\r\n\r\n");
  const auto request = buffer.take();
  ASSERT_TRUE(request);
  EXPECT_FALSE(request->keep_alive);
  EXPECT_EQ(request->text, "GET / HTTP/1.1\r\nhost: a\r\nX: kept\r\n\r\n");
}

TEST(RequestBuffer, AConnectionEndsWhereAnyWordOfItSaysSo) {
  const auto keeps = [](const std::string& fields) {
    RequestBuffer buffer({});
    buffer.add("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
    const auto request = buffer.take();
    return request && request->keep_alive;
  };
  EXPECT_TRUE(keeps(""));
  EXPECT_TRUE(keeps("Connection: keep-alive\r\n"));
  EXPECT_TRUE(keeps("Connection: TE, closed, ,\r\n"));
  EXPECT_FALSE(keeps("Connection: Close\r\n"));
  EXPECT_FALSE(keeps("Connection: close, TE\r\n"));
  EXPECT_FALSE(keeps("Connection: upgrade ,\tclose\r\n"));
  EXPECT_FALSE(keeps("Connection: close\r\nConnection: keep-alive\r\n"));
}

TEST(RequestBuffer, AsksForTheBodyOnce) {
  RequestBuffer buffer({});
  buffer.add(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: "
      "100-continue\r\n\r\n");
  EXPECT_TRUE(buffer.wants_continue());
  EXPECT_FALSE(buffer.wants_continue());
  EXPECT_FALSE(buffer.take());
  buffer.add("{}");
  EXPECT_TRUE(buffer.take());
}

TEST(RequestBuffer, AnOldClientEndsItsConnection) {
  RequestBuffer buffer({});
  buffer.add("GET / HTTP/1.0\r\n\r\n");
  const auto request = buffer.take();
  ASSERT_TRUE(request);
  EXPECT_FALSE(request->keep_alive);
}

}  // namespace
}  // namespace ft::service

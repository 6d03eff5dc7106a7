import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.GZIPInputStream;

/**
 * java.net.http.HttpClient as caller: with HTTP/2, its default, it offers an upgrade to h2c in the first request of a connection.
 * Arguments: HTTP_1_1|HTTP_2 BASE, then for each request METHOD PATH BODY OPTIONS, where BODY is a length or "-" and OPTIONS are
 * words with commas between them: chunked, expect, gzip, parallel, times=N, cancel=MS, until=TEXT, large=LENGTH.
 */
public class HttpCall {
  record Answer(int status, String text, byte[] content, HttpResponse<byte[]> response, String error) {}

  static HttpClient client;
  static String base;

  public static void main(String[] args) throws Exception {
    client = HttpClient.newBuilder()
      .version(HttpClient.Version.valueOf(args[0]))
      .followRedirects(HttpClient.Redirect.NORMAL)
      .connectTimeout(Duration.ofSeconds(10))
      .build();
    base = args[1];
    List<String> answers = new ArrayList<>();
    for (int at = 2; at < args.length; at += 4) answers.add(repeat(args[at], args[at + 1], args[at + 2], List.of(args[at + 3].split(","))));
    System.out.println("[" + String.join(",", answers) + "]");
    System.exit(0);
  }

  static String option(List<String> options, String name) {
    return options.stream().filter(word -> word.startsWith(name + "=")).findFirst().map(word -> word.substring(name.length() + 1)).orElse(null);
  }

  static String repeat(String method, String path, String body, List<String> options) throws Exception {
    Answer first = send(method, path, body, options);
    String until = option(options, "until");
    long deadline = System.nanoTime() + 5_000_000_000L;
    while (until != null && !until.equals(first.text) && System.nanoTime() < deadline) first = send(method, path, body, options);
    String times = option(options, "times");
    var others = IntStream.range(1, times == null ? 1 : Integer.parseInt(times));
    Answer like = first;
    long same = 1 + (options.contains("parallel") ? others.parallel() : others)
      .mapToObj(count -> send(method, path, body, options))
      .filter(other -> other.status == like.status && java.util.Arrays.equals(other.content, like.content))
      .count();
    return json(first, same);
  }

  static Answer send(String method, String path, String body, List<String> options) {
    try {
      byte[] bytes = body.equals("-") ? new byte[0] : HttpServe.pattern(Integer.parseInt(body));
      BodyPublisher publisher = body.equals("-") ? BodyPublishers.noBody()
        : options.contains("chunked") ? BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(bytes))
        : BodyPublishers.ofByteArray(bytes);
      String cancel = option(options, "cancel");
      HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + path))
        .method(method, publisher)
        .expectContinue(options.contains("expect"))
        .timeout(Duration.ofMillis(cancel == null ? 20_000 : Integer.parseInt(cancel)));
      if (options.contains("gzip")) request.header("Accept-Encoding", "gzip");
      String large = option(options, "large");
      if (large != null) request.header("X-Large", "x".repeat(Integer.parseInt(large)));
      HttpResponse<byte[]> response = client.send(request.build(), BodyHandlers.ofByteArray());
      byte[] content = response.body();
      if (response.headers().firstValue("content-encoding").orElse("").equals("gzip"))
        content = new GZIPInputStream(new ByteArrayInputStream(content)).readAllBytes();
      return new Answer(response.statusCode(), content.length <= 4000 ? new String(content, "UTF-8") : "", content, response, null);
    } catch (HttpTimeoutException error) {
      return new Answer(0, "", new byte[0], null, "cancelled");
    } catch (IOException | InterruptedException error) {
      return new Answer(0, "", new byte[0], null, String.valueOf(error));
    }
  }

  static String json(Answer answer, long same) throws Exception {
    if (answer.error != null) return "{\"error\":" + quoted(answer.error) + "}";
    String version = answer.response.version() == HttpClient.Version.HTTP_2 ? "2" : "1.1";
    String digest = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(answer.content));
    String fields = answer.response.headers().map().entrySet().stream()
      .map(field -> quoted(field.getKey().toLowerCase()) + ":" + quoted(String.join(", ", field.getValue())))
      .collect(Collectors.joining(","));
    return "{\"status\":%d,\"version\":\"%s\",\"text\":%s,\"length\":%d,\"digest\":\"%s\",\"fields\":{%s},\"same\":%d}"
      .formatted(answer.status, version, quoted(answer.text), answer.content.length, digest, fields, same);
  }

  static String quoted(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    for (char character : text.toCharArray()) {
      if (character == '"' || character == '\\') quoted.append('\\').append(character);
      else if (character < 0x20) quoted.append("\\u%04x".formatted((int) character));
      else quoted.append(character);
    }
    return quoted.append('"').toString();
  }
}

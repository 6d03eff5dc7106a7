import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;
import java.util.zip.GZIPOutputStream;

/** com.sun.net.httpserver as called. Argument: PORT. */
public class HttpServe {
  public static void main(String[] args) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress(Integer.parseInt(args[0])), 0);
    server.setExecutor(Executors.newCachedThreadPool());
    server.createContext("/", HttpServe::answer);
    server.start();
  }

  static void answer(HttpExchange exchange) throws IOException {
    String[] parts = exchange.getRequestURI().getPath().split("/");
    String name = parts.length > 1 ? parts[1] : "";
    String value = parts.length > 2 ? parts[2] : "";
    var fields = exchange.getResponseHeaders();
    switch (name) {
      case "get" -> send(exchange, 200, (exchange.getRequestMethod() + " " + exchange.getRequestURI()).getBytes());
      case "echo" -> {
        byte[] body = exchange.getRequestBody().readAllBytes();
        String length = exchange.getRequestHeaders().getFirst("Content-Length");
        fields.set("X-Length", length == null ? "-1" : length);
        send(exchange, 200, body);
      }
      case "bytes" -> send(exchange, 200, pattern(Integer.parseInt(value)));
      case "stream" -> {
        exchange.sendResponseHeaders(200, 0);
        try (var out = exchange.getResponseBody()) {
          for (int line = 0; line < Integer.parseInt(value); line++) {
            out.write(("line " + line + "\n").getBytes());
            out.flush();
          }
        }
      }
      case "gzip" -> {
        var zipped = new ByteArrayOutputStream();
        try (var out = new GZIPOutputStream(zipped)) {
          out.write("zipped\n".repeat(100).getBytes());
        }
        fields.set("Content-Encoding", "gzip");
        send(exchange, 200, zipped.toByteArray());
      }
      case "redirect" -> {
        fields.set("Location", "/get?redirected");
        send(exchange, 302, new byte[0]);
      }
      case "status" -> send(exchange, Integer.parseInt(value), ("status " + value).getBytes());
      case "field" -> {
        fields.set("X-Large", exchange.getRequestHeaders().getFirst("X-Large"));
        send(exchange, 200, new byte[0]);
      }
      default -> send(exchange, 404, new byte[0]);
    }
  }

  static void send(HttpExchange exchange, int status, byte[] body) throws IOException {
    boolean isHead = exchange.getRequestMethod().equals("HEAD");
    if (isHead) exchange.getResponseHeaders().set("Content-Length", String.valueOf(body.length));
    exchange.sendResponseHeaders(status, isHead || body.length == 0 ? -1 : body.length);
    if (!isHead && body.length > 0) exchange.getResponseBody().write(body);
    exchange.close();
  }

  static byte[] pattern(int length) {
    byte[] body = new byte[length];
    for (int index = 0; index < length; index++) body[index] = (byte) (index % 251);
    return body;
  }
}

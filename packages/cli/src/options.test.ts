import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "@weft/api/light";
import fc from "fast-check";
import { checkName, parseCount, parsePortMappings, parseTime, parseUpstream } from "./options.ts";

const message = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof WeftError);
    return `${error.message} ${error.hint}`;
  }
  return assert.fail("no error");
};

test("a port alone is served under its number and under 80", () => {
  assert.deepEqual(parsePortMappings(["8080"]), [
    { servicePort: 80, targetPort: 8080 },
    { servicePort: 8080, targetPort: 8080 },
  ]);
  assert.deepEqual(parsePortMappings(["80"]), [{ servicePort: 80, targetPort: 80 }]);
});

test("two ports are exact, and a protocol may follow", () => {
  assert.deepEqual(parsePortMappings(["80:8080"]), [{ servicePort: 80, targetPort: 8080 }]);
  assert.deepEqual(parsePortMappings(["5432:5432/tcp"]), [{ servicePort: 5432, targetPort: 5432, protocol: "tcp" }]);
  assert.deepEqual(parsePortMappings(["443:9000/grpc"]), [{ servicePort: 443, targetPort: 9000, protocol: "http2" }]);
});

test("the 80 that a short form adds gives way to an exact one, and to the first short form", () => {
  assert.deepEqual(parsePortMappings(["8080", "80:9000"]), [
    { servicePort: 80, targetPort: 9000 },
    { servicePort: 8080, targetPort: 8080 },
  ]);
  assert.deepEqual(parsePortMappings(["8080", "9090"]), [
    { servicePort: 80, targetPort: 8080 },
    { servicePort: 8080, targetPort: 8080 },
    { servicePort: 9090, targetPort: 9090 },
  ]);
});

test("ports that cannot be are refused with what would do", () => {
  assert.match(
    message(() => parsePortMappings(["0"])),
    /"0" is no port\. Ports go from 1 to 65535\./,
  );
  assert.match(
    message(() => parsePortMappings(["65536"])),
    /Ports go from 1 to 65535\./,
  );
  assert.match(
    message(() => parsePortMappings(["80:http"])),
    /"http" is no port/,
  );
  assert.match(
    message(() => parsePortMappings(["1:2:3"])),
    /too many colons\. Write --port 80:8080/,
  );
  assert.match(
    message(() => parsePortMappings(["80:8080", "80:8081"])),
    /service port 80 twice/,
  );
  assert.match(
    message(() => parsePortMappings(["80:8080/htp2"])),
    /Did you mean http2\? Protocols are http1, http2, grpc, tcp/,
  );
});

test("any text is a list of valid ports or a usage error", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.stringMatching(/^[0-9:/tcp]{0,9}$/)), { maxLength: 3 }), (texts) => {
      try {
        const mappings = parsePortMappings(texts);
        assert.equal(new Set(mappings.map(({ servicePort }) => servicePort)).size, mappings.length);
        assert.ok(mappings.every(({ servicePort, targetPort }) => [servicePort, targetPort].every((port) => port >= 1 && port <= 65535)));
      } catch (error) {
        assert.ok(error instanceof WeftError && error.code === "WEFT-L-USAGE");
      }
    }),
  );
});

test("an upstream has a name and, unless told, port 80", () => {
  assert.equal(parseUpstream("users"), "users:80");
  assert.equal(parseUpstream("users.team:8080"), "users.team:8080");
  assert.match(
    message(() => parseUpstream("Users")),
    /upper-case letters\. Did you mean "users"\?/,
  );
  assert.match(
    message(() => parseUpstream("users:x")),
    /"x" is no port/,
  );
});

test("a name is a DNS label", () => {
  assert.equal(checkName("a".repeat(63)), "a".repeat(63));
  assert.match(
    message(() => checkName("my_app")),
    /it contains "_".*Did you mean "my-app"\?/,
  );
  assert.match(
    message(() => checkName("a".repeat(64))),
    /64 characters/,
  );
});

test("windows are seconds or minutes that the controller remembers", () => {
  assert.deepEqual(["1", "60s", "5m", "12h"].map(parseTime), [1, 60, 300, 43_200]);
  for (const text of ["0", "0m", "1d", "", "-5s", "1.5s", "1234567"])
    assert.match(
      message(() => parseTime(text)),
      /30s, 5m or 1h/,
    );
});

test("counts are whole numbers above 0", () => {
  assert.equal(parseCount("12"), 12);
  for (const text of ["0", "-1", "1e3", ""])
    assert.match(
      message(() => parseCount(text)),
      /no whole number above 0/,
    );
});

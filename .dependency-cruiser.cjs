// Which part may import which: see "Code map" in ARCHITECTURE.md.
const inPackage = (names) => `^packages/(${names})/`;

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "no-circles",
      severity: "error",
      comment: "Modules that need each other to run; types may refer to each other.",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "no-unresolved",
      severity: "error",
      comment: "An import that leads nowhere.",
      from: {},
      to: { couldNotResolve: true, pathNot: "^virtual:" },
    },
    {
      name: "api-stands-alone",
      severity: "error",
      comment: "packages/api is what the others share; it imports none of them.",
      from: { path: inPackage("api") },
      to: { path: "^(packages|e2e|bench)/", pathNot: inPackage("api") },
    },
    {
      name: "only-api",
      severity: "error",
      comment: "The controller and the client of its API know each other only through packages/api.",
      from: { path: inPackage("(controller|client)") },
      to: { path: "^(packages|e2e|bench)/", pathNot: inPackage("$1|api") },
    },
    {
      name: "only-client",
      severity: "error",
      comment: "The CLI and the page know the controller only through packages/client and packages/api.",
      from: { path: inPackage("(cli|dashboard)") },
      to: { path: "^(packages|e2e|bench)/", pathNot: inPackage("$1|client|api") },
    },
    {
      name: "graph-is-pure",
      severity: "error",
      comment: "Of the controller, views and their graph know only the shape of stored objects.",
      from: { path: "^packages/controller/src/graph/" },
      to: { path: "^packages/(?!api/)", pathNot: "^packages/controller/src/(graph/|store/store\\.ts$)" },
    },
    {
      name: "flow-goes-one-way",
      severity: "error",
      comment: "Sources and translation know nothing of those to whom it flows.",
      from: { path: "^packages/controller/src/(sources|translate)/", pathNot: "\\.test\\.ts$" },
      to: { path: "^packages/controller/src/(sessions|status|serve|resources)/" },
    },
    {
      name: "controller-is-a-program",
      severity: "error",
      comment: "Only the test kit and the benchmarks import the controller.",
      from: { pathNot: "^(packages/(controller|testkit)|bench)/" },
      to: { path: inPackage("controller") },
    },
  ],
  options: {
    parser: "swc",
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)(dist|target)/" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
      extensions: [".ts", ".tsx", ".mjs", ".js", ".d.ts"],
    },
  },
};

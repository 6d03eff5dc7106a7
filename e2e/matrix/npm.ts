/** What npm does with verdaccio, in this order. */
export const cases = [
  "two packages are published, one of them of 2 MB",
  "a package is looked up",
  "npm install of a package and what it depends on",
  "a package that does not exist",
];

export default {
  test: {
    include: ['*.vitest.mjs'],
    // Our package is a link here and lies in node_modules where it is installed: vitest takes the latter as it is.
    server: { deps: { external: [/bindings-node/] } },
  },
};

export * from '../dist/fastify.js';
export { plugin as default } from '../dist/fastify.js';

// The one implementation is CommonJS; these are its names for import.
export * from '../dist/fastify.js';
export { plugin as default } from '../dist/fastify.js';

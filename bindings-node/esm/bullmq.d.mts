export * from '../dist/bullmq.js';

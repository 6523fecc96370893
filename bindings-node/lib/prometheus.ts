/** The metrics for prom-client: `register(client.register)`. What calls count is counted already; it is read when the registry is scraped. */

import { native } from './native.js';

/** What is needed of a registry of prom-client. */
export interface RegistryLike {
  registerMetric(metric: any): unknown;
  removeSingleMetric(name: string): unknown;
}

/** One metric as the native module tells it: suffix, labels and value of each sample. */
export interface Family {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly unit: string;
  readonly help: string;
  readonly samples: ReadonlyArray<readonly [string, Readonly<Record<string, string>>, number]>;
}

/** All metrics of this process, those without samples too. */
export function families(): Family[] {
  return JSON.parse(native.metricFamilies()) as Family[];
}

/** Reads them once for all metrics of one scrape, which asks for them one after another: anew when it comes to the first. */
class Scrape {
  private read = new Map<string, Family>();

  constructor(private readonly first: string | undefined) {}

  of(name: string): Family {
    if (name === this.first) this.read = new Map(families().map((family) => [family.name, family]));
    return this.read.get(name)!;
  }
}

/** Adds all metrics of this process to a registry, with the names and labels of `metrics()`. Gives the way to take them out again. */
export function register(registry: RegistryLike): () => void {
  const all = families();
  const scrape = new Scrape(all[0]?.name);
  for (const { name, kind, help } of all) {
    registry.registerMetric({
      name,
      help,
      type: kind,
      aggregator: 'sum',
      get: async () => ({
        name,
        help,
        type: kind,
        aggregator: 'sum',
        values: scrape.of(name).samples.map(([suffix, labels, value]) => ({ metricName: name + suffix, labels, value })),
      }),
      // The process goes on counting.
      reset: () => undefined,
    });
  }
  return () => all.forEach(({ name }) => registry.removeSingleMetric(name));
}

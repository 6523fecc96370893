/**
 * A NestJS controller whose method a policy decorates.
 *
 *     PRICES_URL=http://localhost:8001 node dist/till.js
 *     curl localhost:8000/prices/tea
 *
 * A decorator of Seawall stands nearest to the method, below those of NestJS. Where the policy turns a request away, the answer is 503 or 429 with a Retry-After.
 */

import 'reflect-metadata';

import { type ArgumentsHost, Catch, Controller, type ExceptionFilter, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { circuitBreaker, policy, RejectedError, retry, timeout } from 'seawall';
import { middleware } from 'seawall/express';
import { guardFetch } from 'seawall/fetch';

const list = process.env['PRICES_URL'] ?? 'http://localhost:8001';
// What is sent again is decided here, how long anybody waits at the till.
const priceFetch = guardFetch(retry({ maxAttempts: 3, baseDelay: '20ms' }));
const prices = policy('prices', circuitBreaker({ consecutiveFailures: 3, breakDuration: '10s' }), timeout({ total: '2s' }));

@Controller('prices')
class Till {
  private served = 0;

  @Get(':product')
  @prices
  async price(@Param('product') product: string): Promise<{ product: string; cents: number; served: number }> {
    const answer = await priceFetch(`${list}/${product}`);
    if (!answer.ok) throw Object.assign(new Error(`no price for ${product}`), { response: answer });
    return { product, cents: Number(await answer.text()), served: (this.served += 1) };
  }
}

@Catch(RejectedError)
class TurnedAway implements ExceptionFilter<RejectedError> {
  catch(error: RejectedError, host: ArgumentsHost): void {
    host.switchToHttp().getResponse().status(error.httpStatus).set(error.httpHeaders).json({ error: error.code });
  }
}

@Module({ controllers: [Till] })
class Shop {}

const app = await NestFactory.create(Shop, { logger: ['error'] });
app.use(middleware());
app.useGlobalFilters(new TurnedAway());
app.enableShutdownHooks();
await app.listen(Number(process.env['PORT'] ?? 8000), '127.0.0.1');
console.log(`listening at ${await app.getUrl()}`);

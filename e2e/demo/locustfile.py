"""Customers of the coffee shop: they read the menu, order, and wait until the order is ready."""

import random
import time

from locust import HttpUser, between, events, task


class Customer(HttpUser):
    wait_time = between(0.5, 1.5)

    def on_start(self):
        with self.client.get("/api/menu", catch_response=True) as response:
            self.items = [entry["item"] for entry in response.json()] if response.ok else []

    @task(3)
    def look(self):
        self.client.get("/")

    @task(2)
    def orders(self):
        self.client.get("/api/orders")

    @task(1)
    def order(self):
        if not self.items:
            return self.on_start()
        item = random.choice(self.items)
        response = self.client.post("/api/orders", json={"item": item, "customer": f"locust-{id(self) % 50}"})
        if not response.ok:
            return
        started = time.monotonic()
        number = response.json()["id"]
        while time.monotonic() - started < 15:
            with self.client.get(f"/api/orders/{number}", name="/api/orders/{id}", catch_response=True) as reply:
                if reply.ok and reply.json()["state"] == "ready":
                    break
            time.sleep(0.1)
        else:
            events.request.fire(
                request_type="ORDER", name="order until ready", response_time=15000, response_length=0,
                exception=TimeoutError("not ready within 15 s"), context={},
            )
            return
        events.request.fire(
            request_type="ORDER", name="order until ready", response_time=(time.monotonic() - started) * 1000,
            response_length=0, exception=None, context={},
        )

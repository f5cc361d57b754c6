package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Order is what travels through the broker.
type Order struct {
	ID       int64  `json:"id"`
	Item     string `json:"item"`
	Kind     string `json:"kind"`
	Customer string `json:"customer"`
	State    string `json:"state"`
	MadeBy   string `json:"madeBy,omitempty"`
}

// Broker keeps one connection and makes it anew when it breaks.
type Broker struct {
	mutex   sync.Mutex
	channel *amqp.Channel
}

func dial() (*amqp.Channel, error) {
	url := amqp.URI{Scheme: "amqp", Host: env("BROKER_HOST", "broker"), Port: 5672, Username: "shop", Password: secret("broker_password"), Vhost: "/"}
	connection, err := amqp.DialConfig(url.String(), amqp.Config{Heartbeat: 5 * time.Second, Locale: "en_US", Dial: amqp.DefaultDial(5 * time.Second)})
	if err != nil {
		return nil, err
	}
	channel, err := connection.Channel()
	if err == nil {
		err = channel.ExchangeDeclare("shop", "topic", true, false, false, false, nil)
	}
	if err == nil {
		err = channel.Confirm(false)
	}
	if err != nil {
		_ = connection.Close()
		return nil, err
	}
	go func() { // a closed channel takes its connection with it
		<-channel.NotifyClose(make(chan *amqp.Error, 1))
		_ = connection.Close()
	}()
	return channel, nil
}

// publish returns when the broker has the message on disk.
func (b *Broker) publish(ctx context.Context, key string, order Order) error {
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.channel == nil || b.channel.IsClosed() {
		if b.channel, err = dial(); err != nil {
			return err
		}
	}
	sent, err := b.channel.PublishWithDeferredConfirmWithContext(ctx, "shop", key, false, false,
		amqp.Publishing{ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: body})
	if err != nil {
		return err
	}
	_, err = sent.WaitContext(ctx)
	return err
}

// consume hands every message of the queue to handle, again and again until it returns nil.
func consume(ctx context.Context, queue, key string, handle func(context.Context, Order) error) error {
	for ctx.Err() == nil {
		if err := consumeOnce(ctx, queue, key, handle); err != nil && ctx.Err() == nil {
			slog.Info("waiting for the broker", "error", err.Error())
			time.Sleep(time.Second)
		}
	}
	return nil
}

func consumeOnce(ctx context.Context, queue, key string, handle func(context.Context, Order) error) error {
	channel, err := dial()
	if err != nil {
		return err
	}
	defer channel.Close()
	if _, err = channel.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		return err
	}
	if err = channel.QueueBind(queue, key, "shop", false, nil); err != nil {
		return err
	}
	if err = channel.Qos(8, 0, false); err != nil {
		return err
	}
	deliveries, err := channel.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for delivery := range deliveries {
		var order Order
		if err := json.Unmarshal(delivery.Body, &order); err != nil {
			_ = delivery.Reject(false) // no order: it will never be one
			continue
		}
		if err := handle(ctx, order); err != nil {
			slog.Warn("again", "order", order.ID, "error", err.Error())
			_ = delivery.Nack(false, true)
			time.Sleep(200 * time.Millisecond)
			continue
		}
		_ = delivery.Ack(false)
	}
	return amqp.ErrClosed
}

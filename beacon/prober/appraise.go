package prober

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/timing/drive"
	"github.com/ursa-virtual/ursa/topology/directory"
)

// appraise asks a beacon for evidence and lets Config.Appraise judge it. The exchange's machine has not started: whatever this takes,
// no stopwatch runs.
func (r *run) appraise(ctx context.Context, beacon directory.Beacon, ch channel.Channel, stream drive.Stream) error {
	if r.Appraise == nil {
		return nil
	}
	r.tell(Event{Beacon: beacon.ID(), Place: beacon.Place, Phase: Examining})
	shown, nonce, err := r.askEvidence(ctx, ch, stream)
	if err != nil {
		return err
	}
	p := Presented{Beacon: beacon, Result: shown.Result, Evidence: shown.Evidence, Nonce: exchange.SharedNonce(shown.Nonces)}
	if len(shown.Evidence) > 0 && !shown.Answers(nonce) {
		return fmt.Errorf("%w: %w", ErrAppraisal, ErrNotAsked)
	}
	if err := r.Appraise(ctx, p); err != nil {
		return fmt.Errorf("%w: %w", ErrAppraisal, err)
	}
	return nil
}

// askEvidence sends the question and waits for the answer as long as ctx lasts: a TPM takes its time.
func (r *run) askEvidence(ctx context.Context, ch channel.Channel, stream drive.Stream) (shown exchange.Shown, nonce [32]byte, err error) {
	var ask [32]byte
	if _, err := io.ReadFull(r.Random, ask[:]); err != nil {
		return shown, nonce, err
	}
	msg, err := exchange.Ask(ask)
	if err != nil {
		return shown, nonce, err
	}
	if until, ok := ctx.Deadline(); ok {
		_ = stream.SetReadDeadline(until)
		_ = stream.SetWriteDeadline(until)
	}
	defer func() {
		_ = stream.SetReadDeadline(time.Time{})
		_ = stream.SetWriteDeadline(time.Time{})
	}()
	if _, err := stream.Write(msg); err != nil {
		return shown, nonce, fmt.Errorf("%w: %w", drive.ErrStream, err)
	}
	answer, err := drive.ReadMessage(stream)
	if err != nil {
		return shown, nonce, err
	}
	shown, err = exchange.ParseShown(answer)
	return shown, exchange.ChannelNonce(ask, ch.Binding), err
}

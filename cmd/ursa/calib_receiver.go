package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/calib/mesh/receiver"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// receiverKeyName is the key with which a beacon's receiver answers other beacons; it is made when it is first needed.
const receiverKeyName = "receiver.key"

// receiverTimedName names the receiver's timed key, for those who carry results by hand.
const receiverTimedName = "receiver-timed-key"

// receiverFlags open the asking half of a beacon.
type receiverFlags struct{ listen, result string }

func (r *receiverFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.listen, "receiver", "", "TCP `ADDRESS` at which a gate of the directory may instruct this beacon to measure others ('ursa calib run'); empty: none")
	cmd.Flags().StringVar(&r.result, "receiver-attest-result", "", "`FILE` with the appraiser's result about the receiver's key; with --sim-dir none is needed")
}

// openReceiver opens the door, if one is wanted. The receiver has a key and a socket of its own, and follows the daemon's directory.
func (b *beaconDaemon) openReceiver(ctx context.Context, protect identity.Protector) (stop func(), err error) {
	if b.o.receiver.listen == "" {
		if b.o.receiver.result != "" {
			return nil, usagef("--receiver-attest-result needs --receiver ADDRESS")
		}
		return func() {}, nil
	}
	key, err := receiverKey(filepath.Join(b.o.dir, receiverKeyName), protect)
	if err != nil {
		return nil, err
	}
	timed, err := identity.NewTimedKey(nil)
	if err != nil {
		return nil, err
	}
	if err := writeWhole(filepath.Join(b.o.dir, receiverTimedName), []byte(timed.ID().String()+"\n"), 0o644); err != nil {
		return nil, err
	}
	passport, err := (&passportFlags{file: b.o.receiver.result, simDir: b.o.passport.simDir}).open(ctx, key.ID(), timed.ID())
	if passport.awaited(err) {
		b.log.Warn("receiver waits for a result about its timed key", "file", b.o.receiver.result, "timed_key", timed.ID().String())
	} else if err != nil {
		return nil, fmt.Errorf("--receiver: %w", err)
	}
	card, err := receiver.Card(b.key, key.Public())
	if err != nil {
		return nil, err
	}
	socket, err := listenUDP("--receiver", ":0")
	if err != nil {
		return nil, err
	}
	r := receiver.Follow(key.Public(), func(ctx context.Context) (prober.Config, error) {
		result, _, err := passport.current(ctx, time.Now())
		b.mu.Lock()
		defer b.mu.Unlock()
		return prober.Config{Key: key, TimedKey: timed, Directory: b.in, Conn: socket, Attestation: result, Clock: b.clock}, err
	})
	r.Introduce(card)
	l, err := listenTCP("--receiver", b.o.receiver.listen)
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	b.log.Info("receiver", "door", l.Addr().String(), "key", key.ID().Short())
	end := serveHTTP(l, r.Handler())
	return func() { end(); _ = socket.Close() }, nil
}

// receiverKey reads the receiver's key, or makes it.
func receiverKey(path string, protect identity.Protector) (*identity.Private, error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return identity.LoadKey(path, protect)
	}
	key, err := identity.Generate(identity.RoleCore, rand.Reader)
	if err != nil {
		return nil, err
	}
	return key, identity.SaveKey(path, key, protect)
}

package service_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/platforms"
	"github.com/ursa-virtual/ursa/beacon/attest/service"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func key(t testing.TB, role identity.Role, n byte) *identity.Private {
	t.Helper()
	k, err := identity.FromSeed(role, [32]byte{n, 0x73})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// office is a service that appraises the simulated platform, on the loopback address.
type office struct {
	address          string
	root, appraiser  *identity.Private
	beacon, stranger *identity.Private
}

func open(t *testing.T, edit func(*service.Config)) office {
	t.Helper()
	o := office{root: key(t, identity.RoleSimRoot, 1), appraiser: key(t, identity.RoleAppraiser, 1), beacon: key(t, identity.RoleBeacon, 1),
		stranger: key(t, identity.RoleBeacon, 2)}
	v, err := attest.NewSimVerifier(o.root.Public())
	if err != nil {
		t.Fatal(err)
	}
	a, err := attest.NewAppraiser(attest.AppraiserConfig{Key: o.appraiser, Audience: "test", Verifiers: []attest.Verifier{v},
		Policy: attest.Policy{Accept: []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := service.Config{Key: o.appraiser, Appraise: a.Appraise, Refusals: platforms.Refusals(), Know: func(k identity.Public) error {
		if k.ID() != o.beacon.ID() {
			return service.ErrStranger
		}
		return nil
	}}
	if edit != nil {
		edit(&cfg)
	}
	s, err := service.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, pc) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = pc.Close()
	})
	o.address = pc.LocalAddr().String()
	return o
}

func (o office) machine() attest.SimMachine {
	return attest.SimMachine{Root: o.root, Measurement: []byte{1}, TCB: 1, Machine: [32]byte{5}, NowUnixNS: func() int64 { return time.Now().UnixNano() }}
}

func (o office) client(k *identity.Private) service.Client {
	return service.Client{Key: k, Appraiser: o.appraiser.Public(), Address: o.address, Refusals: platforms.Refusals()}
}

func TestAppraisesOverTheNetwork(t *testing.T) {
	o := open(t, nil)
	result, err := o.client(o.beacon).Appraise(t.Context(), o.machine())
	if err != nil {
		t.Fatal(err)
	}
	r, signer, err := attest.DecodeResult(result)
	if err != nil || signer != o.appraiser.ID() || r.Subject != o.beacon.ID() || r.Audience != "test" {
		t.Fatalf("%+v by %s: %v", r, signer.Short(), err)
	}
}

// Every refusal arrives under its own name.
func TestRefusesByName(t *testing.T) {
	o := open(t, nil)
	debug, old, other := o.machine(), o.machine(), o.machine()
	debug.Debug, old.TCB, other.Measurement = true, 0, []byte{2}
	foreign := o.machine()
	foreign.Root = key(t, identity.RoleSimRoot, 2)
	for name, c := range map[string]struct {
		client  service.Client
		machine attest.Attester
		want    error
	}{
		"debug":           {o.client(o.beacon), debug, attest.ErrDebug},
		"old":             {o.client(o.beacon), old, attest.ErrTCB},
		"other code":      {o.client(o.beacon), other, attest.ErrMeasurement},
		"foreign root":    {o.client(o.beacon), foreign, attest.ErrWrongRoot},
		"stranger":        {o.client(o.stranger), o.machine(), service.ErrStranger},
		"other appraiser": {service.Client{Key: o.beacon, Appraiser: key(t, identity.RoleAppraiser, 2).Public(), Address: o.address}, o.machine(), service.ErrAppraiser},
	} {
		_, err := c.client.Appraise(t.Context(), c.machine)
		if !errors.Is(err, c.want) || !errors.Is(err, service.ErrRefused) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := o.client(o.beacon).Enrol(t.Context(), applicant{}); !errors.Is(err, service.ErrPurpose) {
		t.Error("enrolment where nobody is enrolled:", err)
	}
}

// applicant answers challenges with what it was told.
type applicant struct{ answer string }

func (applicant) Apply() ([]byte, error)              { return []byte("application"), nil }
func (a applicant) Activate(c []byte) ([]byte, error) { return []byte(a.answer + string(c)), nil }

func TestEnrols(t *testing.T) {
	o := open(t, func(c *service.Config) {
		c.Enrol = func(application []byte) ([]byte, func([]byte) ([]byte, error), error) {
			if string(application) != "application" {
				return nil, nil, tpm.ErrApplication
			}
			return []byte("challenge"), func(answer []byte) ([]byte, error) {
				if string(answer) != "opened challenge" {
					return nil, tpm.ErrActivation
				}
				return []byte("record"), nil
			}, nil
		}
	})
	record, err := o.client(o.beacon).Enrol(t.Context(), applicant{"opened "})
	if err != nil || string(record) != "record" {
		t.Fatal(string(record), err)
	}
	if _, err := o.client(o.beacon).Enrol(t.Context(), applicant{"guessed "}); !errors.Is(err, tpm.ErrActivation) {
		t.Error(err)
	}
}

// A go-between with a channel to each side is noticed by the exporter value that both sides sign.
func TestManInTheMiddle(t *testing.T) {
	o := open(t, nil)
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	config, err := channel.ServerTLS(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := quic.Listen(front, config, channel.QUIC(1, false))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go forward(ctx, listener, o.address)
	c := o.client(o.beacon)
	c.Address = front.LocalAddr().String()
	if _, err := c.Appraise(t.Context(), o.machine()); !errors.Is(err, service.ErrChannel) {
		t.Error(err)
	}
}

// forward carries the bytes of one stream between two channels.
func forward(ctx context.Context, listener *quic.Listener, to string) {
	in, err := listener.Accept(ctx)
	if err != nil {
		return
	}
	a, err := in.AcceptStream(ctx)
	if err != nil {
		return
	}
	out, err := quic.DialAddr(ctx, to, channel.ClientTLS(), channel.QUIC(-1, false))
	if err != nil {
		return
	}
	b, err := out.OpenStreamSync(ctx)
	if err != nil {
		return
	}
	pump := func(from, to *quic.Stream) {
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			if _, e := to.Write(buffer[:n]); e != nil || err != nil {
				_ = to.Close()
				return
			}
		}
	}
	go pump(b, a)
	pump(a, b)
}

func TestConfig(t *testing.T) {
	good := service.Config{Key: key(t, identity.RoleAppraiser, 1), Know: func(identity.Public) error { return nil },
		Appraise: func([]byte, attest.Want) ([]byte, error) { return nil, nil }}
	for name, edit := range map[string]func(*service.Config){
		"key": func(c *service.Config) { c.Key = key(t, identity.RoleGate, 1) }, "know": func(c *service.Config) { c.Know = nil },
		"appraise": func(c *service.Config) { c.Appraise = nil }, "most": func(c *service.Config) { c.Most = -1 },
	} {
		c := good
		edit(&c)
		if _, err := service.New(c); !errors.Is(err, service.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

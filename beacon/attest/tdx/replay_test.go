package tdx

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	pb "github.com/google/go-tdx-guest/proto/tdx"

	"github.com/ursa-virtual/ursa/beacon/attest"
)

// ccel writes a log as firmware does: events in measurement registers 1 to 4, and a filled-up rest.
func ccel(fill byte, events ...Extend) []byte {
	var log bytes.Buffer
	le := func(v any) { _ = binary.Write(&log, binary.LittleEndian, v) }
	spec := append([]byte("Spec ID Event03\x00"), 0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0x0c, 0, 48, 0, 0)
	le(uint32(0))
	le(uint32(3))
	log.Write(make([]byte, 20))
	le(uint32(len(spec)))
	log.Write(spec)
	write := func(register uint32, typ uint32, digest []byte) {
		le(register)
		le(typ)
		le(uint32(1))
		le(uint16(0x0c))
		log.Write(digest)
		le(uint32(3))
		log.WriteString("why")
	}
	write(0, 1, make([]byte, 48))            // the build-time measurement: not ours to replay
	write(1, 3, bytes.Repeat([]byte{9}, 48)) // not extended
	for _, e := range events {
		write(uint32(e.Register)+1, 4, e.Digest[:])
	}
	log.Write(bytes.Repeat([]byte{fill}, 100))
	return log.Bytes()
}

var boot = []Extend{{Register: 0, Digest: [48]byte{1}}, {Register: 1, Digest: [48]byte{2}}, {Register: 0, Digest: [48]byte{3}}, {Register: 2, Digest: [48]byte{4}}}

func TestParsesTheFirmwaresLog(t *testing.T) {
	for _, fill := range []byte{0, 0xff} {
		got, err := ParseEventLog(ccel(fill, boot...))
		if err != nil || len(got) != len(boot) {
			t.Fatal(got, err)
		}
		for i := range got {
			if got[i] != boot[i] {
				t.Errorf("event %d: %v, want %v", i, got[i], boot[i])
			}
		}
	}
	for _, bad := range [][]byte{nil, {1, 2, 3}, ccel(1, boot...), bytes.Replace(ccel(0), []byte{0x0c, 0, 48, 0}, []byte{0x0b, 0, 32, 0}, 1)} {
		if _, err := ParseEventLog(bad); !errors.Is(err, ErrEventLog) {
			t.Error(err)
		}
	}
}

// registersOf makes a quote's registers what the logs say.
func registersOf(t *testing.T, firmware []Extend, own []Event) func(*pb.TDQuoteBody) {
	t.Helper()
	r, err := replay(firmware, own)
	if err != nil {
		t.Fatal(err)
	}
	return func(b *pb.TDQuoteBody) {
		for i := range r {
			b.Rtmrs[i] = bytes.Clone(r[i][:])
		}
	}
}

func TestLogsReplay(t *testing.T) {
	m := newMaker(t)
	program, place := Event{Type: EventBuild, Data: []byte("build 1")}, Event{Type: EventConfiguration, Data: []byte("here")}
	own := []Event{program, place}
	base := newPlatform(m, nil)
	claims := func(p *platform, config func(*VerifierConfig)) (attest.Claims, error) {
		b, err := p.Report(context.Background(), [32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		return m.verifier(config).Verify(b, now)
	}
	for _, c := range []struct {
		name string
		want error
		make func(*platform)
		need bool
	}{
		{"both logs", nil, func(p *platform) {}, true},
		{"no log", nil, func(p *platform) { p.firmware, p.own = nil, nil }, false},
		{"no log where one is needed", ErrNoLog, func(p *platform) { p.firmware, p.own = nil, nil }, true},
		{"an event left out", ErrLogReplay, func(p *platform) { p.firmware = boot[1:] }, false},
		{"events in another order", ErrLogReplay, func(p *platform) { p.firmware = []Extend{boot[2], boot[1], boot[0], boot[3]} }, false},
		{"an event of ours left out", ErrLogReplay, func(p *platform) { p.own = own[:1] }, false},
		{"another program's event", ErrLogReplay, func(p *platform) { p.own = []Event{{Type: EventBuild, Data: []byte("build 2")}, place} }, false},
		{"register that does not exist", ErrLogReplay, func(p *platform) { p.firmware = []Extend{{Register: 4}} }, false},
		{"endless", ErrLogTooLong, func(p *platform) { p.firmware = make([]Extend, maxEvents+1) }, false},
		{"two programs", ErrOwnLog, func(p *platform) {
			p.own = []Event{program, {Type: EventBuild, Data: []byte("build 2")}}
			p.change = registersOf(t, boot, p.own)
		}, false},
		{"no program", ErrOwnLog, func(p *platform) { p.own = own[1:]; p.change = registersOf(t, boot, p.own) }, false},
		{"an event of another type", ErrOwnLog, func(p *platform) {
			p.own = []Event{program, {Type: "greeting"}}
			p.change = registersOf(t, boot, p.own)
		}, false},
	} {
		p := *base
		p.firmware, p.own, p.change = boot, own, registersOf(t, boot, own)
		c.make(&p)
		if _, err := claims(&p, func(v *VerifierConfig) { v.NeedLog = c.need }); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	// The measurement names the program, not the configuration; the configuration is claimed beside it.
	p := *base
	p.firmware, p.own, p.change = boot, own, registersOf(t, boot, own)
	one, err := claims(&p, nil)
	if err != nil || one.Configuration != attest.HashConfiguration([]byte("here")) {
		t.Fatalf("%+v %v", one, err)
	}
	p.own = []Event{program, {Type: EventConfiguration, Data: []byte("there")}}
	p.change = registersOf(t, boot, p.own)
	two, err := claims(&p, nil)
	if err != nil || !bytes.Equal(one.Measurement, two.Measurement) || one.Configuration == two.Configuration {
		t.Errorf("%+v %v", two, err)
	}
	p.own = []Event{{Type: EventBuild, Data: []byte("build 2")}, place}
	p.change = registersOf(t, boot, p.own)
	if three, err := claims(&p, nil); err != nil || bytes.Equal(one.Measurement, three.Measurement) {
		t.Errorf("%+v %v", three, err)
	}
}

// TestMeasure plays the kernel's register by a file.
func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	m := &Machine{OwnLog: filepath.Join(dir, "own"), Register: filepath.Join(dir, "rtmr3")}
	e := Event{Type: EventBuild, Data: []byte("build 1")}
	for range 2 {
		if err := m.Measure(e); err != nil {
			t.Fatal(err)
		}
	}
	events, err := m.own()
	if err != nil || len(events) != 1 {
		t.Fatal(events, err)
	}
	digest := e.Digest()
	if written, err := os.ReadFile(m.Register); err != nil || !bytes.Equal(written, digest[:]) {
		t.Error(written, err)
	}
	m.Register = filepath.Join(dir, "no such folder", "rtmr3")
	if err := m.Measure(Event{Type: EventConfiguration}); err == nil {
		t.Error("measured into nothing")
	}
	if events, err := m.own(); err != nil || len(events) != 1 {
		t.Error("what could not be extended stays in the log:", events, err)
	}
	if err := (&Machine{}).Measure(e); !errors.Is(err, ErrOwnLog) {
		t.Error(err)
	}
}

func FuzzParseEventLog(f *testing.F) {
	f.Add(ccel(0, boot...))
	f.Add(ccel(0xff))
	f.Fuzz(func(t *testing.T, data []byte) {
		if events, err := ParseEventLog(data); err == nil && len(events) > len(data) {
			t.Fatal("more events than bytes")
		}
	})
}

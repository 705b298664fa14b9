package model

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// FileType is the signature context of a model file.
const FileType identity.ObjectType = "delay-model"

// Version is the only version of the file.
const Version = 1

// MaxFile is the largest encoded model in bytes.
const MaxFile = 1 << 20

// What reading a model file refuses, beside what the envelope and the encoding do.
var (
	ErrVersion = errors.New("unknown version of a model file")
	ErrCurve   = errors.New("not a curve: quantiles ascend and stay within reason")
	ErrScore   = errors.New("impossible score")
	ErrBeacon  = errors.New("beacons are listed once, by id, with possible values")
	ErrExpired = errors.New("model has expired or is not valid yet")
)

// The file is deterministic CBOR, which has no floats: quantiles and scores in millionths, slopes in picoseconds for a metre,
// times in nanoseconds.
type wireModel struct {
	Version    uint64         `cbor:"1,keyasint"`
	Name       string         `cbor:"2,keyasint"`
	Issued     int64          `cbor:"3,keyasint"`
	Expires    int64          `cbor:"4,keyasint"`
	Inputs     []byte         `cbor:"5,keyasint"`
	Pairs      uint64         `cbor:"6,keyasint"`
	Impossible uint64         `cbor:"7,keyasint"`
	Profile    uint64         `cbor:"8,keyasint"`
	Scores     []int64        `cbor:"9,keyasint"`
	Within     uint64         `cbor:"10,keyasint"`
	Fastest    uint64         `cbor:"11,keyasint"`
	Curve      [knots][]int64 `cbor:"12,keyasint"`
	Beacons    []wireBeacon   `cbor:"13,keyasint"`
	Line       []int64        `cbor:"14,keyasint,omitempty"` // as wireBeacon.Line
}

type wireBeacon struct {
	ID       string  `cbor:"1,keyasint"`
	Pairs    uint64  `cbor:"2,keyasint"`
	OffsetNS int64   `cbor:"3,keyasint"`
	Line     []int64 `cbor:"4,keyasint,omitempty"` // slope ps/m, intercept ns
}

func micro(v float64) int64 { return int64(math.Round(v * 1e6)) }

// Encode returns the model in canonical form, rounded to a millionth.
func (m *Model) Encode() ([]byte, error) {
	w := wireModel{Version: Version, Name: m.Name, Issued: m.IssuedUnixNS, Expires: m.ExpiresUnixNS, Inputs: m.Inputs[:],
		Pairs: uint64(m.Pairs), Impossible: uint64(m.Impossible), Profile: uint64(m.Profile), Within: uint64(micro(m.HeldOutWithin)),
		Fastest: uint64(micro(m.FastestShareOC)), Scores: []int64{}, Beacons: []wireBeacon{}}
	for _, s := range m.Scores {
		w.Scores = append(w.Scores, micro(s.HeldOut))
	}
	for k := range knots {
		w.Curve[k] = make([]int64, levels)
		for i := range levels {
			w.Curve[k][i] = micro(m.Curve.q[k][i])
		}
	}
	for _, b := range m.Beacons {
		wb := wireBeacon{ID: b.ID, Pairs: uint64(b.Pairs), OffsetNS: micro(b.OffsetMS)}
		wb.Line = encodeLine(b.Bestline)
		w.Beacons = append(w.Beacons, wb)
	}
	w.Line = encodeLine(m.Bestline)
	return canon.Marshal(w)
}

func encodeLine(l *Bestline) []int64 {
	if l == nil {
		return nil
	}
	return []int64{int64(math.Round(l.Slope * 1e6)), micro(l.Intercept)}
}

// most is ten minutes in nanoseconds: more than any delay, and any slope.
const most = 600_000_000_000

func decodeLine(w []int64) (*Bestline, error) {
	switch {
	case len(w) == 0:
		return nil, nil
	case len(w) != 2 || w[0] <= 0 || w[0] > most || w[1] < 0 || w[1] > most:
		return nil, ErrBeacon
	}
	return &Bestline{float64(w[0]) / 1e6, float64(w[1]) / 1e6}, nil
}

// Decode reads what Encode wrote: a claim about delays, until somebody vouches for it (see Open).
func Decode(data []byte) (*Model, error) {
	var w wireModel
	if err := canon.Unmarshal(data, &w, MaxFile); err != nil {
		return nil, err
	}
	if w.Version != Version {
		return nil, fmt.Errorf("%w: %d, this program reads %d", ErrVersion, w.Version, Version)
	}
	m := &Model{Name: w.Name, IssuedUnixNS: w.Issued, ExpiresUnixNS: w.Expires, Pairs: int(w.Pairs), Impossible: int(w.Impossible),
		Profile: Profile(w.Profile), HeldOutWithin: float64(w.Within) / 1e6, FastestShareOC: float64(w.Fastest) / 1e6}
	switch {
	case len(w.Name) < 1 || len(w.Name) > 256:
		return nil, ErrName
	case w.Expires <= w.Issued:
		return nil, ErrDates
	case w.Profile > 255 || !m.Profile.Valid():
		return nil, ErrProfile
	case len(w.Inputs) != len(m.Inputs):
		return nil, fmt.Errorf("%w: hash of %d bytes", ErrScore, len(w.Inputs))
	case w.Pairs > MaxPairs || w.Impossible > MaxPairs || w.Within > 1e6 || w.Fastest > 1e6 || len(w.Scores) != len(Profiles):
		return nil, ErrScore
	}
	copy(m.Inputs[:], w.Inputs)
	for i, s := range w.Scores {
		if s < -1e9 || s > 1e9 {
			return nil, ErrScore
		}
		m.Scores = append(m.Scores, Score{Profiles[i], float64(s) / 1e6})
	}
	var err error
	if m.Curve, err = decodeCurve(w.Curve); err != nil {
		return nil, err
	}
	if m.Bestline, err = decodeLine(w.Line); err != nil {
		return nil, fmt.Errorf("%w: the fleet's bestline", err)
	}
	m.Beacons, err = decodeBeacons(w.Beacons)
	return m, err
}

func decodeCurve(w [knots][]int64) (*Curve, error) {
	c := new(Curve)
	for k := range knots {
		if len(w[k]) != levels {
			return nil, ErrCurve
		}
		for i, v := range w[k] {
			if v < -20e6 || v > 20e6 || i > 0 && v-w[k][i-1] < 1e6*minGap/2 {
				return nil, ErrCurve
			}
			c.q[k][i] = float64(v) / 1e6
		}
	}
	return c, nil
}

func decodeBeacons(w []wireBeacon) ([]Beacon, error) {
	if len(w) > MaxNodes {
		return nil, ErrBeacon
	}
	out := make([]Beacon, len(w))
	for i, b := range w {
		if b.ID == "" || len(b.ID) > 256 || i > 0 && b.ID <= w[i-1].ID || b.Pairs > MaxNodes || b.OffsetNS < -most || b.OffsetNS > most {
			return nil, fmt.Errorf("%w: beacon %d", ErrBeacon, i)
		}
		out[i] = Beacon{ID: b.ID, Pairs: int(b.Pairs), OffsetMS: float64(b.OffsetNS) / 1e6}
		var err error
		if out[i].Bestline, err = decodeLine(b.Line); err != nil {
			return nil, fmt.Errorf("%w: bestline of %s", err, b.ID)
		}
	}
	return out, nil
}

// Seal signs a model file.
func (m *Model) Seal(key *identity.Private) ([]byte, error) {
	payload, err := m.Encode()
	if err != nil {
		return nil, err
	}
	envelope, err := identity.Seal(key, FileType, payload)
	if err != nil {
		return nil, err
	}
	return envelope.Encode()
}

// Open verifies a signed model file and its time.
func Open(data []byte, signer identity.Public, now time.Time) (*Model, error) {
	envelope, err := identity.DecodeEnvelope(data, MaxFile+8192)
	if err != nil {
		return nil, err
	}
	payload, err := envelope.Open(signer, FileType)
	if err != nil {
		return nil, err
	}
	m, err := Decode(payload)
	if err != nil {
		return nil, err
	}
	if !m.Valid(now) {
		return nil, fmt.Errorf("%w: from %v to %v", ErrExpired, time.Unix(0, m.IssuedUnixNS).UTC(), time.Unix(0, m.ExpiresUnixNS).UTC())
	}
	return m, nil
}

package world

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// MaxFile is the most bytes that a world's file may have.
const MaxFile = 4 << 20

// ErrFile is a world's file with problems; the error holds each of them as a *Problem.
var ErrFile = errors.New("world file has problems")

// Problem is one thing that is wrong in a file, and what would be right.
type Problem struct {
	File         string
	Line, Column int // from 1; 0 when it concerns the file as a whole
	Text         string
}

// Error is one line.
func (p *Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// File is a world as people and programs write it, in YAML or JSON. A field that is absent leaves the built-in world's own: there
// is no other default. The tags are the language: reader, writer and the published schema are made from them.
type File struct {
	Format     int64            `yaml:"ursa_world" need:"yes" range:"1..1" means:"1, the version of this format"`
	Name       string           `yaml:"name" need:"yes" means:"a name for people"`
	Seed       *uint64          `yaml:"seed" need:"yes" means:"the seed of everything that is drawn, such as 1"`
	Start      *time.Time       `yaml:"start" means:"the instant of the world's time zero, such as 2026-01-05T00:00:00Z"`
	Places     PlacesSpec       `yaml:"places" means:"where hosts may stand; leave it out in a measured world"`
	Measured   string           `yaml:"measured" means:"the folder of a measured set whose round trips are replayed, relative to this file"`
	Access     []AccessSpec     `yaml:"access" means:"laws of access links that differ from the measured ones"`
	Routes     RoutesSpec       `yaml:"routes" means:"the laws of least round trips between towns"`
	Congestion []CongestionSpec `yaml:"congestion" means:"how queues follow the hour of the day"`
	Changes    []ChangeSpec     `yaml:"changes" means:"routes that change at given times"`
	Wander     *WanderSpec      `yaml:"wander" means:"routes that change by chance"`
	Media      []MediumSpec     `yaml:"media" means:"ways that are faster than plain fibre"`
	Clocks     *ClocksSpec      `yaml:"clocks" means:"how wrong the clocks of hosts are"`

	Dir    string `yaml:"-"` // against which Measured is resolved; Open sets it
	source string // the name for problems
	at     map[string]position
}

// PlacesSpec says where hosts may stand.
type PlacesSpec struct {
	Builtin   *bool       `yaml:"builtin" means:"whether the built-in cities are there"`
	Countries []string    `yaml:"countries" means:"of the built-in cities, those of these countries only"`
	Access    Access      `yaml:"access" means:"the access class of the built-in cities, where it is not data-centre"`
	Homes     []HomesSpec `yaml:"homes" means:"homes and phones that stand in cities"`
	List      []PlaceSpec `yaml:"list" means:"more places"`
}

// HomesSpec puts hosts that are no data centres into cities.
type HomesSpec struct {
	City   string `yaml:"city" need:"yes" means:"the id of a place, or * for each"`
	Count  int64  `yaml:"count" need:"yes" range:"1..1000" means:"how many homes in the city"`
	Access Access `yaml:"access" need:"yes" means:"their access class"`
}

// PlaceSpec is one place.
type PlaceSpec struct {
	ID         string  `yaml:"id" need:"yes" means:"an id of its own"`
	Name       string  `yaml:"name" means:"a name for people, where it is not the id"`
	Country    string  `yaml:"country" means:"ISO 3166-1 alpha-2, such as DE"`
	Lat        float64 `yaml:"lat" need:"yes" range:"-90..90" means:"degrees north"`
	Lon        float64 `yaml:"lon" need:"yes" range:"-180..180" means:"degrees east"`
	Population *int64  `yaml:"population" range:"0..100000000" means:"people in the city, where known: hosts stand further apart in larger ones"`
	Access     Access  `yaml:"access" need:"yes" means:"data-centre, wired, wifi, cellular or satellite"`
	Metro      string  `yaml:"metro" means:"the id of the town in which it stands, where that is not its own"`
	Operator   string  `yaml:"operator" means:"whose backbone joins it with others of the same operator"`
}

// AccessSpec changes the law of one class.
type AccessSpec struct {
	Class   Access         `yaml:"class" need:"yes" means:"data-centre, wired, wifi, cellular or satellite"`
	Excess  *QuantilesSpec `yaml:"excess_ms" means:"what one packet waits beyond the least, in milliseconds"`
	Loss    *float64       `yaml:"loss" range:"0..1" means:"share of packets lost"`
	Delay   *time.Duration `yaml:"delay" range:"0s..1s" means:"what every packet needs more, in each direction"`
	Scatter *float64       `yaml:"scatter" range:"0..3" means:"log-sd from host to host of a factor on the excess"`
	Tail    *float64       `yaml:"scatter_tail" range:"0..10" means:"how many times as far it scatters above the median; 1 where absent"`
}

// QuantilesSpec is a law of excess: the median of the least of k packets, and quantiles of one.
type QuantilesSpec struct {
	LeastOf100 float64 `yaml:"least_of_100" need:"yes" range:"0.000001..1000" means:"median of the least of 100 packets"`
	LeastOf30  float64 `yaml:"least_of_30" need:"yes" range:"0.000001..1000" means:"median of the least of 30 packets"`
	LeastOf10  float64 `yaml:"least_of_10" need:"yes" range:"0.000001..1000" means:"median of the least of 10 packets"`
	LeastOf3   float64 `yaml:"least_of_3" need:"yes" range:"0.000001..1000" means:"median of the least of 3 packets"`
	P50        float64 `yaml:"p50" need:"yes" range:"0.000001..1000" means:"median"`
	P90        float64 `yaml:"p90" need:"yes" range:"0.000001..1000" means:"what 90 % do not exceed"`
	P99        float64 `yaml:"p99" need:"yes" range:"0.000001..1000" means:"what 99 % do not exceed"`
}

// RoutesSpec holds the laws of routes.
type RoutesSpec struct {
	Public    *LawSpec       `yaml:"public" means:"between data centres of different operators"`
	Backbone  *LawSpec       `yaml:"backbone" means:"between data centres of one operator"`
	Homes     *LawSpec       `yaml:"homes" means:"where an end is no data centre"`
	Asymmetry *AsymmetrySpec `yaml:"asymmetry" means:"how one direction differs from the other"`
	Queues    *QueuesSpec    `yaml:"queues" means:"how busy paths differ from each other"`
}

// QueuesSpec is a factor on the excess that a pair of towns draws, besides those of hosts and hours: some paths are busy.
type QueuesSpec struct {
	Scatter float64  `yaml:"scatter" need:"yes" range:"0..3" means:"its log-sd"`
	Tail    *float64 `yaml:"scatter_tail" range:"0..10" means:"how many times as far it scatters above the median; 1 where absent"`
}

// LawSpec is a law of least round trips: a profile, numbers that differ from the profile's, or a table.
type LawSpec struct {
	Profile string     `yaml:"profile" of:"public|cloud|homes" means:"the profile to start from, where it is not the route's own"`
	ScaleMS *float64   `yaml:"scale_ms" range:"0.001..1000" means:"scale of the median excess, ms"`
	Power   *float64   `yaml:"power" range:"0..2" means:"power of the light time in the median excess"`
	Sigma   *float64   `yaml:"sigma" range:"0..3" means:"log-sd of the excess"`
	Near    *float64   `yaml:"near" range:"0..3" means:"what is added to sigma at distance zero"`
	Tail    *float64   `yaml:"tail" range:"0..10" means:"how many times as far it scatters above the median"`
	Stretch *float64   `yaml:"stretch" range:"1..20" means:"of the fibre's way over the great circle"`
	Table   *TableSpec `yaml:"table" means:"quantiles of the excess by distance, as fitted"`
}

// TableSpec is a Table.
type TableSpec struct {
	Levels   []float64 `yaml:"levels" need:"yes" range:"0..1" means:"probabilities, rising"`
	Node     float64   `yaml:"node_share" range:"0..1" means:"share of the variance that the two places decide"`
	Corridor float64   `yaml:"corridor_share" range:"0..1" means:"share of the variance that the two countries decide"`
	Rows     []RowSpec `yaml:"rows" need:"yes" means:"one row for each distance, rising"`
}

// RowSpec is a Row.
type RowSpec struct {
	LightMS float64   `yaml:"light_ms" need:"yes" range:"0.000001..10000" means:"light in fibre along the great circle, there and back"`
	Excess  []float64 `yaml:"excess_ms" need:"yes" range:"0.000001..100000" means:"one quantile for each level"`
}

// AsymmetrySpec is how one direction differs from the other.
type AsymmetrySpec struct {
	MedianMS float64  `yaml:"median_ms" need:"yes" range:"0..1000" means:"median difference of the two one-way delays"`
	Sigma    *float64 `yaml:"sigma" range:"0..5" means:"its log-sd; exponential where absent"`
	Rare     *float64 `yaml:"rare_share" range:"0..1" means:"share of pairs whose directions lead different ways"`
	RareMS   *float64 `yaml:"rare_median_ms" range:"0..1000" means:"median difference of those"`
	Most     *float64 `yaml:"most" range:"0..1" means:"share of what a direction has beyond light that it may lose to the other"`
}

// CongestionSpec is a day of queues.
type CongestionSpec struct {
	Access []Access  `yaml:"access" means:"the classes that it meets; all where absent"`
	Clock  string    `yaml:"clock" need:"yes" of:"local|utc" means:"local (the sun's hour at the place) or utc"`
	Hours  []float64 `yaml:"hours" need:"yes" len:"24" range:"0..1000" means:"a factor on the excess at each full hour"`
	Loss   []float64 `yaml:"loss" len:"24" range:"0..1000" means:"a factor on the loss at each full hour"`
}

// ChangeSpec is a route that changes.
type ChangeSpec struct {
	Between []string       `yaml:"between" need:"yes" len:"2" means:"the ids of two towns; * for any"`
	At      time.Duration  `yaml:"at" need:"yes" range:"0s..87600h" means:"when, counted from the start"`
	Until   *time.Duration `yaml:"until" range:"0s..87600h" means:"when the usual route is back; never where absent"`
	Adds    time.Duration  `yaml:"adds" need:"yes" range:"-10s..10s" means:"what is added to the round trip; a minus takes away"`
	OneWay  *bool          `yaml:"one_way" means:"whether all of it falls on the way from the first to the second"`
}

// WanderSpec is a Poisson-like coming and going of longer routes.
type WanderSpec struct {
	Every    time.Duration `yaml:"every" need:"yes" range:"1s..8760h" means:"how long a route stays before it is drawn again"`
	Share    float64       `yaml:"share" need:"yes" range:"0..1" means:"share of the draws that leave the usual route"`
	MedianMS float64       `yaml:"median_ms" need:"yes" range:"0..1000" means:"median of what is added to the round trip then"`
	Sigma    float64       `yaml:"sigma" range:"0..3" means:"its log-sd"`
}

// MediumSpec is a way that is faster than plain fibre.
type MediumSpec struct {
	Name     string   `yaml:"name" need:"yes" means:"a name of its own"`
	Kind     string   `yaml:"kind" need:"yes" of:"hollow-core|microwave|satellite-laser|fibre" means:"what it is made of, which decides index, stretch and height where they are absent"`
	Index    *float64 `yaml:"index" range:"1..3" means:"how many times as long as light in vacuum it needs, at least 1"`
	Stretch  *float64 `yaml:"stretch" range:"1..20" means:"of its way over the great circle, at least 1"`
	HeightKM *float64 `yaml:"height_km" range:"0..40000" means:"of satellites; the way leads up and down, too"`
	ExtraMS  *float64 `yaml:"extra_ms" range:"0..1000" means:"what its equipment adds, there and back"`
	Between  []string `yaml:"between" means:"ids of towns, every two of which it joins"`
	Share    *float64 `yaml:"share" range:"0..1" means:"share of all pairs of towns that it joins"`
}

// ClocksSpec is how clocks are drawn, and the clocks that are not.
type ClocksSpec struct {
	OffsetMS *float64    `yaml:"offset_ms" range:"0..3600000" means:"standard deviation of the offset at the start"`
	DriftPPM *float64    `yaml:"drift_ppm" range:"0..100000" means:"standard deviation of the drift, in millionths"`
	Hosts    []ClockSpec `yaml:"hosts" means:"clocks of hosts that are not drawn"`
}

// ClockSpec is one host's clock.
type ClockSpec struct {
	Host     string        `yaml:"host" need:"yes" means:"the host's name"`
	Offset   time.Duration `yaml:"offset" range:"-8760h..8760h" means:"how far ahead it is at the start"`
	DriftPPM float64       `yaml:"drift_ppm" range:"-100000..100000" means:"how much too fast it runs, in millionths"`
	Steps    []StepSpec    `yaml:"steps" means:"when it is set, and by how much; rising"`
}

// StepSpec sets a clock.
type StepSpec struct {
	At time.Duration `yaml:"at" need:"yes" range:"0s..87600h" means:"when, counted from the start"`
	By time.Duration `yaml:"by" need:"yes" range:"-8760h..8760h" means:"forward, or back with a minus"`
}

// Load reads a world's file and makes the world.
func Load(path string) (*World, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	return f.World()
}

// Open reads a world's file. Its folder becomes Dir.
func Open(path string) (File, error) {
	file, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer file.Close()
	text := make([]byte, MaxFile+1)
	n, err := readUpTo(file, text)
	if err != nil {
		return File{}, err
	}
	f, err := Parse(filepath.Base(path), text[:n])
	if err != nil {
		return File{}, err
	}
	f.Dir = filepath.Dir(path)
	return f, nil
}

// Marshal writes the file as YAML that Parse reads back to the same.
func (f File) Marshal() ([]byte, error) { return marshal(f) }

// Parse reads a world's file; name stands in problems. Unknown and repeated keys, anchors, aliases, tags and second documents are
// refused. The error wraps ErrFile and every *Problem.
func Parse(name string, text []byte) (File, error) {
	r := &reader{name: name, at: make(map[string]position)}
	f := File{source: name, at: r.at}
	if root := r.document(text); root != nil {
		r.value(root, &f)
	}
	if len(r.problems) == 0 {
		f.check(r)
	}
	if err := r.err(); err != nil {
		return File{}, err
	}
	return f, nil
}

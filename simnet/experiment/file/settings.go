package file

import (
	"time"

	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Limits of one file.
const (
	MaxSize   = 256 << 10 // bytes
	MaxPoints = 20_000
	MaxCores  = 10_000_000 // of one point
	MaxSites  = 4096       // beacons of a constellation
	MaxRounds = 64         // of an exchange; the protocol has 8 at least
)

// World says where an experiment takes place. One of Builtin, File and Measured is set.
type World struct {
	Builtin  string // profile of the routes between the places: public, cloud or homes
	Towns    int    // with Builtin: every place of at least so many people instead of the built-in cities; 0 means the cities
	In       string // with Builtin: only places of this region; empty for all
	File     string // a world file
	Measured string // folder of a measured set
}

// Rule is how the beacons of a constellation are chosen.
type Rule string

// The rules.
const (
	Spread     Rule = "spread"     // each as far as possible from those before, the largest place first
	Population Rule = "population" // the largest places
	Random     Rule = "random"     // drawn from the seed
	List       Rule = "list"       // as named
	All        Rule = "all"        // every place of the area
)

// Constellation says where the beacons stand.
type Constellation struct {
	Rule    Rule
	Cities  []string // of rule list
	In      string   // region expression; the words permit and world
	Count   int
	PerTown int    // beacons in one town, before the next town is taken
	Domains string // beacon, city, country, or a number of operators among whom the beacons are dealt out in turn
}

// Where cores stand.
const (
	Cities = "cities" // hosts in data centres of the towns
	Homes  = "homes"  // hosts behind an access link in the towns
	Grid   = "grid"   // evenly over the land
)

// Cores says who proves.
type Cores struct {
	Place  string       // cities, homes or grid: where honest cores stand
	In     string       // region expression; the words permit and world
	Who    string       // honest, cheats or both
	By     string       // town or people: is each town as likely, or each inhabitant
	Count  int          // in one point
	Access world.Access // their link
}

// By what cores are drawn.
const (
	ByTown   = "town"
	ByPeople = "people"
)

// Who the cores are.
const (
	Honest = "honest" // claim where they stand
	Cheats = "cheats" // stand outside the permit and claim a place inside
	Both   = "both"   // in turn, an honest one first
)

// Adversary says who lies. What strength means is the adversary's to say; where it says that 0 is none, 0 is nobody.
type Adversary struct {
	Name     string
	Strength float64
}

// Policy is what the gate demands.
type Policy struct {
	Permit     string // region expression
	F          int
	Speed      earth.SpeedClass
	Quarantine bool // the audit's convicts are not asked
}

// Measure says what is kept of each trial beside its verdict.
type Measure struct {
	Region   bool // the region's area, and how far its middle lies from the truth
	Map      bool // where each core stands, and whether it was proven
	Estimate bool // instead of verdicts: each host of the world is located by the others, with every method that locator/eval knows
}

// Settings is everything that decides the trials of one point.
type Settings struct {
	World         World
	Constellation Constellation
	Cores         Cores
	Adversary     Adversary
	Policy        Policy
	Committee     int // beacons that a core asks
	Rounds        int // of each exchange; 0 means the protocol's rule
	AccessDelay   time.Duration
	Measure       Measure
	Seed          uint64
}

// Label is one value of what is varied.
type Label struct{ Key, Value string }

// Point is one combination of what is varied.
type Point struct {
	Index    int
	Labels   []Label // in the order of Experiment.Keys
	Settings Settings
}

// Value returns the point's value of a key, empty when it is not varied.
func (p Point) Value(key string) string {
	for _, l := range p.Labels {
		if l.Key == key {
			return l.Value
		}
	}
	return ""
}

// Expectation is what must come out; anything else is a failure with the seed that shows it.
type Expectation string

// The expectations.
const (
	ExpectNothing      Expectation = "nothing"
	ExpectSound        Expectation = "sound"         // no false Inside in any point
	ExpectFalseAccepts Expectation = "false-accepts" // at least one in the whole experiment: its worlds break an assumption
)

// Chart says how results are drawn. Empty fields are chosen from what is varied.
type Chart struct {
	X, By, Facet string  // keys: along the axis, one curve for each, one row of the table of needs for each
	Share        float64 // which share of the cores must be proven to say that a place is provable, 0..1
}

// Experiment is what a file says.
type Experiment struct {
	Name, About string
	Keys        []string // what is varied, in order; the last is seed
	Points      []Point
	Expect      Expectation
	Chart       Chart
	Hash        string // 16 hex digits over all that decides the results
}

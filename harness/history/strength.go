package history

// Strength measures how much a history can prove. A history whose operations
// never overlapped, mostly failed or never read what was written cannot show
// a violation, whatever a checker says of it.
type Strength struct {
	Operations int `json:"operations"`
	OK         int `json:"ok"`
	// Concurrent counts operations that overlapped another one on the same
	// key.
	Concurrent int `json:"concurrent"`
	// Reads counts ok reads; Distinguishing those that returned another value
	// than the ok read of the same key before them.
	Reads          int `json:"reads"`
	Distinguishing int `json:"distinguishing"`
	// DuringFaults counts ok operations that were open or invoked while a
	// fault was in force.
	DuringFaults int `json:"during_faults"`
	// Keys counts the keys used.
	Keys int `json:"keys"`
}

# Read by scripts/wheels (CMAKE_PROJECT_ggml_INCLUDE): leave some of llama.cpp's back ends empty, which no
# option of llama.cpp leaves out. A wheel without them is a third smaller, and built in two thirds of the time.
#
# ivybridge, piledriver: have F16C and FMA besides, and are served by sandybridge (processors of 2012 to 2013).
# cannonlake: one processor for laptops; cooperlake: servers with four sockets. Served by skylakex, cascadelake.
# armv9.2: SME. GCC learned armv9.2-a in version 13 and SME in 14; served by armv8.6_2, with SVE2.
set(edgeguard_empty ivybridge piledriver cannonlake cooperlake armv9.2_1 armv9.2_2)

function(edgeguard_empty_back_ends)
    file(WRITE ${CMAKE_BINARY_DIR}/empty.c "")
    foreach(name ${edgeguard_empty})
        if(TARGET ggml-cpu-${name})
            set_target_properties(ggml-cpu-${name} PROPERTIES
                SOURCES ${CMAKE_BINARY_DIR}/empty.c COMPILE_OPTIONS "" LINKER_LANGUAGE CXX)
        endif()
    endforeach()
endfunction()
cmake_language(DEFER CALL edgeguard_empty_back_ends)
